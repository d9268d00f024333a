"""CSVAE: a latent subspace for each label (Klys, Snell & Zemel, NeurIPS 2018, arXiv 1812.06190).

An image has a code `w` of its labels, whose prior `p(w | y)` is a diagonal Gaussian for each value
of a label, and a code `z` of everything else, whose prior is the standard normal. `q(w | x, y)`
sees the labels, `q(z | x)` does not, and the decoder sees them through `w` alone. An adversary
`q(y | z)` reads the labels from samples of `z`, and `q(z | x)` is trained to leave it with a high
entropy. In the paper's letters: M1 is the terms `reconstruct`, `kl_w` and `kl_z`, M2 is
`negative_entropy`, and N, which the adversary ascends, is minus `classify_z`.

The paper's form is for binary attributes: `w` has a subspace of two dimensions for each. On data
without attributes there is one label of many classes with a single subspace: both are `G` labels of
`V` values each, with `G * V` Gaussians and logits. The adversary is a softmax over the values of
each label, which for two values is a Bernoulli; M2 and N are sums over the labels, as are the
entropy and the log-probability of independent labels. `q(w | x, y)` sees an attribute as a plane of
zeros or ones, and the class as one of `K` planes.

Departures, and choices where the full text was not at hand. N is a mean log-probability, as in all
public implementations seen. They take two optimizer steps for each batch, the second for the
adversary with the code of the first. Here all players move at once from one forward, as in
Lr-LiVAE, so the adversary's gradient is the same but for an encoder that lags by one step.

The Gaussians are learned, for which only a start has to be chosen; with `fixed` they stay there.
For an attribute it is that of the paper's toy problem: N(0, 0.1^2 I) if it is absent and
N((3, 3), I) if it is present. In subspaces of other sizes the two means are 3 sqrt(2) apart as
well. For a class it is unit variance, and means on a sphere of radius 3, orthogonal if the code has
a dimension for each class, so that any two are again 3 sqrt(2) apart.

Networks, reductions and weights are those of Lr-LiVAE (10 for pixels, 1 for all else): published
weights differ by orders of magnitude between implementations and data sets; `sweeps/swiss_roll` and
`sweeps/attributes` have rows with two of them. But KLs are means over dimensions, and attributes
have few. So the weight of `kl_w` for attributes is the ratio of the sizes of `w` and `z`, with
which all nats have one price, as in the evidence lower bound.
"""

from math import log, sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.training.interface import AtLeastOne, Batch, Objective, Positive, Posterior, Stage
from models import backbones, terms
from models.autoencoders import LabelSubspaceVAE, gaussian_draw, gaussian_moments
from models.blocks import spread

RADIUS = 3.0  # of the sphere on which class means start
NARROW = log(0.1**2)  # log-variance of an absent attribute at the start


class CSVAE(LabelSubspaceVAE):
    """The conditional subspace VAE, with a subspace for each label.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of `w`, of which attributes have equal shares; where None, 2 for each
            attribute, or the family's relevant code for a class.
        irrelevant: Size of `z`, the family's irrelevant code where None.
        prior: Whether the Gaussians of the labels are learned, or stay as initialized.
    """

    title: ClassVar[str] = "CSVAE"
    stages = (Stage("main", ("encoder_w", "encoder_z", "decoder", "prior", "adversary")),)
    objective: Objective = {
        "encoder_w": {"reconstruct": 10.0, "kl_w": 1.0},
        "encoder_z": {"reconstruct": 10.0, "kl_z": 1.0, "negative_entropy": 1.0},
        "decoder": {"reconstruct": 10.0},
        "prior": {"kl_w": 1.0},
        "adversary": {"classify_z": 1.0},
    }
    capabilities: ClassVar[tuple[str, ...]] = ("attributes",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        relevant: AtLeastOne | None = None,
        irrelevant: AtLeastOne | None = None,
        prior: Literal["learned", "fixed"] = "learned",
    ) -> None:
        super().__init__(spec)
        attributes = self.attributes
        if attributes and relevant is None:
            relevant = 2 * attributes
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        if self.relevant % self.labels:
            raise ValueError(
                f"relevant must be a multiple of the number of attributes, {attributes}, "
                f"got {self.relevant}"
            )
        objective = {player: dict(weights) for player, weights in self.objective.items()}
        if attributes:  # a nat of w at the price of a nat of z
            for player in ("encoder_w", "prior"):
                objective[player]["kl_w"] = self.relevant / self.irrelevant
        if prior == "fixed":  # a player without terms stays as initialized
            del objective["prior"]
        self.objective = objective
        self.nats = {"kl_w": self.relevant, "kl_z": self.irrelevant}
        self.encoder_w = backbones.encoder(
            spec, backbone, width, self.relevant, planes=attributes or spec.classes, heads=2
        )
        self.encoder_z = backbones.encoder(spec, backbone, width, self.irrelevant, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, sum(sizes))
        logits = self.labels * self.values
        self.adversary = backbones.latent_classifier(spec, backbone, self.irrelevant, logits)
        self.prior = self._make_prior(spec)
        if attributes:
            means, logvars = self.prior.means, self.prior.logvars
            with torch.no_grad():  # of each attribute a row where it is absent, one where present
                means.zero_()[1::2] = RADIUS
                means.mul_(sqrt(2 / means.shape[1]))
                logvars.zero_()[::2] = NARROW
        else:
            spread(self.prior.means, RADIUS)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the three parts of M1, and M2 and N; KLs are means over their dimensions."""
        x, y = batch.x, batch.y
        mean_w, logvar_w, w = gaussian_draw(self.encoder_w(x, y))
        mean_z, logvar_z, z = gaussian_draw(self.encoder_z(x))
        values = {
            "kl_w": terms.gaussian_kl(mean_w, logvar_w, *self.prior.of(y)).mean(),
            "kl_z": terms.kl_to_standard_normal(mean_z, logvar_z),
        }
        if wanted & {"negative_entropy", "classify_z"}:
            logits = self.adversary(z).view(-1, self.values)  # `[B * G, V]`
            values["negative_entropy"] = self.labels * terms.negative_entropy(logits)
            values["classify_z"] = self.labels * terms.classify(logits, y.flatten())
        if "reconstruct" in wanted:
            values["reconstruct"] = terms.reconstruct(x, self._decode(w, z))
        return values

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussians of `w` and of `z`; needs `y`."""
        if y is None:
            raise ValueError("CSVAE needs labels to encode: the encoder of w is q(w | x, y)")
        return Posterior(
            gaussian_moments(self.encoder_w(x, y)), gaussian_moments(self.encoder_z(x))
        )
