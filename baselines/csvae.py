"""CSVAE: a latent subspace for the label (Klys, Snell & Zemel, NeurIPS 2018, arXiv 1812.06190).

An image has a code `w` of its label, whose prior `p(w | y)` is a diagonal Gaussian a class, and a
code `z` of everything else, whose prior is the standard normal. `q(w | x, y)` sees the label,
`q(z | x)` does not, and the decoder sees the label through `w` alone. An adversary `q(y | z)` reads
the label from samples of `z`, and `q(z | x)` is trained to leave it with a high entropy. In the
paper's letters: M1 is the terms `reconstruct`, `kl_w` and `kl_z`, M2 is `negative_entropy`, and N,
which the adversary ascends, is minus `classify_z`.

This is the form for one label of many classes, with a single subspace. The paper's form, with a
subspace of two dimensions for each binary attribute, needs attribute labels, which data sets do not
carry yet: it is left for later.

Departures, and choices where the full text was not at hand. N is a mean log-probability, as in all
public implementations seen. They take two optimizer steps a batch, the second for the adversary
with the code of the first: here all players move at once from one forward, as in Lr-LiVAE, so the
adversary's gradient is the same but for an encoder that lags by one step. The class Gaussians are
learned, for which no choice of the means by hand is needed; they start, and stay with `fixed`, at
unit variance with means on a sphere of radius 3, orthogonal where the code has a dimension for
each class. Any two are then 3 sqrt(2) apart, like the two Gaussians of the paper's toy problem,
whose one is narrower; here no class is the absence of another, so that none is narrow. Networks,
reductions and weights are those of Lr-LiVAE (10 for pixels, 1 for what else there is): published
weights differ by orders of magnitude between implementations and data sets.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Code, ConditionalGenerator, Objective, Stage
from models import backbones, terms
from models.blocks import ClassGaussians, normal, spread

RADIUS = 3.0  # of the sphere on which class means start


class CSVAE(ConditionalGenerator):
    """The conditional subspace VAE, with one subspace for a categorical label.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of `w`, the family's relevant code where None.
        irrelevant: Size of `z`, the family's irrelevant code where None.
        prior: Whether the class Gaussians are learned, or stay as initialized.
    """

    stages = (Stage("main", ("encoder_w", "encoder_z", "decoder", "prior", "adversary")),)
    objective: Objective = {
        "encoder_w": {"reconstruct": 10.0, "kl_w": 1.0},
        "encoder_z": {"reconstruct": 10.0, "kl_z": 1.0, "negative_entropy": 1.0},
        "decoder": {"reconstruct": 10.0},
        "prior": {"kl_w": 1.0},
        "adversary": {"classify_z": 1.0},
    }
    capabilities: ClassVar[tuple[str, ...]] = ("encode",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: float = 1.0,
        relevant: int | None = None,
        irrelevant: int | None = None,
        prior: Literal["learned", "fixed"] = "learned",
    ) -> None:
        super().__init__()
        if prior not in ("learned", "fixed"):
            raise ValueError(f"prior must be learned or fixed, got {prior!r}")
        if prior == "fixed":  # a player without terms stays as initialized
            self.objective = {p: row for p, row in self.objective.items() if p != "prior"}
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        self.encoder_w = backbones.encoder(
            spec, backbone, width, self.relevant, labels=True, heads=2
        )
        self.encoder_z = backbones.encoder(spec, backbone, width, self.irrelevant, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, sum(sizes))
        self.adversary = backbones.latent_classifier(spec, backbone, self.irrelevant)
        self.prior = ClassGaussians(spec.classes, self.relevant)
        spread(self.prior.means, RADIUS)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns what."""
        return {
            "encoder_w": list(self.encoder_w.parameters()),
            "encoder_z": list(self.encoder_z.parameters()),
            "decoder": list(self.decoder.parameters()),
            "prior": list(self.prior.parameters()),
            "adversary": list(self.adversary.parameters()),
        }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the three parts of M1, and M2 and N; KLs are means over their dimensions."""
        x, y = batch.x, batch.y
        if batch.labeled != len(y):
            raise ValueError(f"CSVAE needs a label in each of {len(y)} rows, not {batch.labeled}")
        mean_w, logvar_w = terms.widen(self.encoder_w(x, y)).chunk(2, dim=1)
        mean_z, logvar_z = terms.widen(self.encoder_z(x)).chunk(2, dim=1)
        w = mean_w + (0.5 * logvar_w).exp() * torch.randn_like(mean_w)
        z = mean_z + (0.5 * logvar_z).exp() * torch.randn_like(mean_z)
        means, logvars = self.prior()
        of_label = F.embedding(y, means), F.embedding(y, logvars)
        found = {
            "kl_w": terms.gaussian_kl(mean_w, logvar_w, *of_label).mean(),
            "kl_z": terms.kl_to_standard_normal(mean_z, logvar_z),
        }
        if not wanted.isdisjoint(("negative_entropy", "classify_z")):
            logits = self.adversary(z)
            found["negative_entropy"] = terms.negative_entropy(logits)
            found["classify_z"] = terms.classify(logits, y)
        if "reconstruct" in wanted:
            found["reconstruct"] = terms.reconstruct(x, self.decoder(torch.cat((w, z), dim=1)))
        return found

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode draws from the Gaussians of the labels and the standard normal."""
        w = self.prior.sample(y, generator)
        z = normal(len(y), self.irrelevant, like=w, generator=generator)
        image: Tensor = self.decoder(torch.cat((w, z), dim=1))
        return image

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return both posterior means; needs `y`, without which there is no `w`."""
        if y is None:
            raise ValueError("CSVAE needs labels to encode: the encoder of w is q(w | x, y)")
        return Code(self.encoder_w(x, y).chunk(2, dim=1)[0], self.encoder_z(x).chunk(2, dim=1)[0])

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes; labels are not needed."""
        if code.relevant is None or code.irrelevant is None:
            raise ValueError("CSVAE needs both parts of a code to decode it")
        image: Tensor = self.decoder(torch.cat((code.relevant, code.irrelevant), dim=1))
        return image
