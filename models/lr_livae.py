"""Lr-LiVAE: label-relevant and label-irrelevant codes (Zheng & Sun, CVPR 2019, arXiv 1812.09502).

An image has a relevant code `z_s = E_s(x)`, a point, whose prior is a mixture of one learned
diagonal Gaussian for each class, and an irrelevant code `z_u ~ N(mu_u(x), sigma_u(x))` whose prior
is the standard normal. A decoder turns both into an image. A classifier `A` tries to read the label
from `z_u`, and `E_u` is trained to leave it at chance; a critic `D` scores reconstructions and
samples.

An iteration is Algorithm 1: three times, on a new batch, `E_s` and the class Gaussians descend the
Gaussian-mixture loss (Eq. 9); then all networks move at once on the last of these batches.

Where the paper's formulas and its published code differ or leave a choice, this follows the code:
hinge losses for the critic, no margin in the mixture loss, the critic's gradient reaches the
decoder alone, and the class Gaussians move in the first stage only. It departs from the code in
four places. Densities are computed in log space from log-variances; the code multiplies
precisions and exponentiates distances, which underflows for hundreds of dimensions. Log-variances
of the class Gaussians are clamped to `[-14, 4]`. Only the
variances' learning rate decays: by 0.01 after 2 epochs as in the paper, where the code has tenfold
every 10 epochs. Networks are evaluated with running batch-norm statistics; the
code samples with those of the batch.

Examples without label (section 3.6) take part in the main stage. Pixels, both critic losses and the
Kullback-Leibler term are as for the others. Their likelihood is that of the single Gaussian with
the moments of the mixture (Eq. 11), or of the mixture itself if their labels are known to be of
these classes. The classifier does not see them, and the critic scores them by its unconditional
part alone. A batch mixes both kinds, or has such images alone, as in the paper's fine-tuning; then
the class Gaussians and the classifier stay as they are, and `E_u` is not confused.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import (
    AtLeastOne,
    Batch,
    NonNegative,
    Objective,
    Positive,
    Posterior,
    Stage,
)
from models import backbones, terms
from models.autoencoders import TwoCodeVAE, gaussian_draw, gaussian_moments
from models.blocks import ClassGaussians, ClassMoments, draw, glorot

VARIANCE_SCHEDULE = {"name": "drop", "at": 2.0, "factor": 0.01, "unit": "epochs"}
PRIOR = ("prior", "prior_scale")
MAIN = ("encoder_s", "encoder_u", "decoder", "critic", "adversary")


class LrLiVAE(TwoCodeVAE):
    """The label-relevant, label-irrelevant VAE-GAN.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of the relevant code, the family's where None.
        irrelevant: Size of the irrelevant code, the family's where None.
        label_loss: Loss of the relevant code: of the Gaussian mixture, or the cross-entropy of a
            linear classifier. Without a prior, fakes in training have codes of the batch.
        balanced_critic: Whether both kinds of fakes together weigh as much as the reals.
        unlabeled_prior: Prior of codes of examples without label: the Gaussian of Eq. 11, or the
            mixture of Eq. 6.
    """

    title: ClassVar[str] = "Lr-LiVAE"
    stages: tuple[Stage, ...] = (
        Stage("prior", PRIOR, repeat=3),
        Stage("main", MAIN, fresh=False),
    )
    objective: Objective = {
        "prior": {"gm_classify": 1.0, "gm_likelihood": 0.1},
        "prior_scale": {"gm_classify": 1.0, "gm_likelihood": 0.1},
        "encoder_s": {"reconstruct": 10.0, "gm_likelihood": 1.0},
        "encoder_u": {"reconstruct": 10.0, "kl": 1.0, "confuse": 1.0},
        "decoder": {"reconstruct": 10.0, "fool": 1.0},
        "critic": {"discriminate": 1.0},
        "adversary": {"classify_u": 1.0},
    }
    capabilities: ClassVar[tuple[str, ...]] = ("semi-supervised",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        relevant: AtLeastOne | None = None,
        irrelevant: AtLeastOne | None = None,
        label_loss: Literal["mixture", "softmax"] = "mixture",
        balanced_critic: bool = False,
        unlabeled_prior: Literal["gaussian", "mixture"] = "gaussian",
    ) -> None:
        super().__init__()
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        self.classes = spec.classes
        self.balanced_critic = balanced_critic
        self.nats = {"kl": self.irrelevant}
        self.unlabeled_prior = unlabeled_prior
        self.encoder_s = backbones.encoder(spec, backbone, width, self.relevant)
        self.encoder_u = backbones.encoder(spec, backbone, width, self.irrelevant, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, sum(sizes))
        self.critic = backbones.critic(spec, backbone, width)
        self.adversary = backbones.latent_classifier(spec, backbone, self.irrelevant)
        self.prior: ClassGaussians | None = None
        self.classifier: nn.Linear | None = None
        self.moments = ClassMoments(spec.classes, self.relevant)
        if label_loss == "mixture":
            self.prior = ClassGaussians(spec.classes, self.relevant)
            self.optimizers = {"prior_scale": {"schedule": VARIANCE_SCHEDULE}}
        else:
            self.classifier = nn.Linear(self.relevant, spec.classes)
            glorot(self.classifier)
            self.stages = (replace(self.stages[0], players=("prior",)), *self.stages[1:])
            objective = {player: dict(weights) for player, weights in self.objective.items()}
            objective["prior"] = {"classify_s": 1.0}
            del objective["prior_scale"], objective["encoder_s"]["gm_likelihood"]
            self.objective = objective
        of_gaussians = {player: tuple(self.objective.get(player, ())) for player in PRIOR}
        self.label_terms = of_gaussians | {"encoder_u": ("confuse",), "adversary": ("classify_u",)}

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each player; `prior` shares `E_s`, with moments of its own."""
        networks = super().players()
        of_prior = list(networks["encoder_s"])
        players = {"prior": of_prior}
        if self.prior is not None:
            of_prior.append(self.prior.means)
            players["prior_scale"] = [self.prior.logvars]
        if self.classifier is not None:
            of_prior.extend(self.classifier.parameters())
        return players | {name: networks[name] for name in MAIN}

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the terms of stage `prior` (Eq. 7, 8) or `main` (2-5, 7, 10-11a)."""
        x, y, labeled = batch
        if stage == "prior":  # examples without label do not move the class Gaussians
            x, y = x[:labeled], y[:labeled]
        z_s = self.encoder_s(x)
        values = self._label_terms(z_s, y, labeled, wanted)
        if stage == "prior":
            return values
        mean_u, logvar_u, z_u = gaussian_draw(self.encoder_u(x))
        values["kl"] = terms.kl_to_standard_normal(mean_u, logvar_u)
        if wanted & {"confuse", "classify_u"}:
            logits = self.adversary(z_u[:labeled])
            values["confuse"] = terms.confuse(logits)
            values["classify_u"] = terms.classify(logits, y[:labeled])
        if wanted & {"reconstruct", "fool", "discriminate"}:
            reconstruction = self._decode(z_s, z_u)
            values["reconstruct"] = terms.reconstruct(x, reconstruction)
        if wanted & {"fool", "discriminate"}:
            drawn = self._draw(y) if self.prior is not None else (self._decode_drawn(z_s), y)
            values |= self._hinge_terms(
                self.critic, x, y, reconstruction, drawn, balanced=self.balanced_critic
            )
        return values

    def _label_terms(
        self, z_s: Tensor, y: Tensor, labeled: int, wanted: frozenset[str]
    ) -> dict[str, Tensor]:
        """Return the terms of relevant codes: those of their prior, or of the classifier."""
        of_label, y = z_s[:labeled], y[:labeled]
        values = {}
        if self.classifier is not None and "classify_s" in wanted:
            values["classify_s"] = terms.classify(self.classifier(of_label), y)
        if self.prior is None:
            return values
        means, logvars = self.prior()
        if "gm_classify" in wanted:
            values["gm_classify"] = terms.classify(terms.gm_logits(of_label, means, logvars), y)
        if "gm_likelihood" in wanted:
            if labeled:
                values["gm_likelihood"] = terms.gm_likelihood(of_label, y, means, logvars)
            if labeled < len(z_s):
                share, others = labeled / len(z_s), z_s[labeled:]
                if self.unlabeled_prior == "mixture":
                    of_others = terms.mixture_nll(terms.gm_logits(others, means, logvars))
                else:
                    of_others = terms.gaussian_nll(others, *terms.moment_match(means, logvars))
                if labeled:
                    of_others = share * values["gm_likelihood"] + (1 - share) * of_others
                values["gm_likelihood"] = of_others
        return values

    def class_logits(self, x: Tensor) -> Tensor:
        """Return the log-densities of the relevant code, or the classifier's logits."""
        z_s = self.encoder_s(x)
        if self.prior is not None:
            return terms.gm_logits(z_s, *self.prior())
        assert self.classifier is not None
        logits: Tensor = self.classifier(z_s)
        return logits

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the point `E_s(x)` and the Gaussian of `E_u(x)`; labels are not needed."""
        z_s = self.encoder_s(x)
        return Posterior((z_s, torch.zeros_like(z_s)), gaussian_moments(self.encoder_u(x)))

    def class_prior(self) -> tuple[Tensor, Tensor]:
        """Return means and variances `[K, D_s]` of the class Gaussians of samples by default."""
        means, logvars = self._gaussians()
        return means, logvars.exp()

    def finish(self, data: Iterable[Batch]) -> None:
        """Take the moments of the relevant codes of each class."""
        labeled = (batch for batch in data if batch.labeled)
        self.moments.fit((self.encoder_s(batch.x), batch.y) for batch in labeled)

    def draw_relevant(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw `[B, D_s]` from the class Gaussian of each label."""
        return draw(*self._gaussians(), y, generator)

    def sample(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        relevant_from: Literal["prior", "moments"] | None = None,
        temperature: NonNegative = 1.0,
    ) -> Tensor:
        """Decode draws from class Gaussians (section 4.2) and the standard normal.

        Args:
            y: Labels `[B]`.
            generator: Source of the noise.
            relevant_from: The Gaussians are the learned prior, or the moments of the training
                codes; None is the prior if there is one.
            temperature: Factor of the standard deviations of these Gaussians; 0 gives their means.

        Returns:
            Images `[B, C, H, W]` or points `[B, D]`.

        Raises:
            ValueError: If there is no prior to sample from.
        """
        means, logvars = self._gaussians(relevant_from)
        drawn = draw(means, logvars, y, generator)
        return self._decode_drawn(torch.lerp(means[y], drawn, temperature), generator)

    def _gaussians(self, source: str | None = None) -> tuple[Tensor, Tensor]:
        """Return means and log-variances `[K, D_s]`."""
        if source == "prior" and self.prior is None:
            raise ValueError("label_loss softmax has no prior to sample from; use moments")
        gaussians = self.moments if self.prior is None or source == "moments" else self.prior
        means, logvars = gaussians()
        return means, logvars
