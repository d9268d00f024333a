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
three places. Densities are computed in log space from log-variances; the code multiplies
precisions and exponentiates distances, which underflows for hundreds of dimensions. Only the
variances' learning rate decays: by 0.01 after 2 epochs as in the paper (`paper`), or tenfold every
10 epochs as in the code (`code`). Networks are evaluated with running batch-norm statistics; the
code samples with those of the batch.

Examples without label (section 3.6) take part in the main stage. Pixels, both critic losses and the
Kullback-Leibler term are as for the others. Their likelihood is that of the single Gaussian with
the moments of the mixture (Eq. 11), or of the mixture itself if their labels are known to be of
these classes. The classifier does not see them, and the critic scores them by its unconditional
part alone. The paper fine-tunes on such images; here every batch mixes both kinds.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Objective, Posterior, Stage
from models import backbones, terms
from models.blocks import ClassGaussians, ClassMoments, draw, glorot
from models.vae import TwoCodeVAE, gaussian_draw, gaussian_moments

SCHEDULES = {
    "paper": {"name": "drop", "at": 2.0, "factor": 0.01, "unit": "epochs"},
    "code": {"name": "staircase", "every": 10.0, "factor": 0.1, "unit": "epochs"},
    "constant": {"name": "constant"},
}
MAIN = ("encoder_s", "encoder_u", "decoder", "critic", "adversary")


class LrLiVAE(TwoCodeVAE):
    """The label-relevant, label-irrelevant VAE-GAN.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of the relevant code, the family's where None.
        irrelevant: Size of the irrelevant code, the family's where None.
        variance_schedule: How the learning rate of the class variances decays.
        label_loss: Loss of the relevant code: of the Gaussian mixture, or the cross-entropy of a
            linear classifier, with samples from the moments of the codes.
        sample_from: Class Gaussians of samples: the learned prior, or the moments of the training
            codes. None is the prior if there is one.
        prior_steps: Passes of the first stage for one of the second.
        joint: Whether all players move in one stage, each by the sum of its terms in both.
        balanced_critic: Whether both kinds of fakes together weigh as much as the reals.
        unlabeled_prior: Prior of codes of examples without label: the Gaussian of Eq. 11, or the
            mixture of Eq. 6.
    """

    title: ClassVar[str] = "Lr-LiVAE"
    stages: tuple[Stage, ...] = (
        Stage("prior", ("prior", "prior_scale"), repeat=3),
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
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "classify", "semi-supervised")

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: float = 1.0,
        relevant: int | None = None,
        irrelevant: int | None = None,
        variance_schedule: Literal["paper", "code", "constant"] = "paper",
        label_loss: Literal["mixture", "softmax"] = "mixture",
        sample_from: Literal["prior", "moments"] | None = None,
        prior_steps: int = 3,
        joint: bool = False,
        balanced_critic: bool = False,
        unlabeled_prior: Literal["gaussian", "mixture"] = "gaussian",
    ) -> None:
        super().__init__()
        if variance_schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise ValueError(f"variance_schedule must be one of {known}; got {variance_schedule!r}")
        if label_loss == "softmax" and sample_from == "prior":
            raise ValueError("label_loss softmax has no prior to sample from; use moments")
        if prior_steps < 1:
            raise ValueError(f"prior_steps must be at least 1, got {prior_steps}")
        if joint and prior_steps != 3:
            raise ValueError("prior_steps has no meaning where all move in one stage")
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        self.classes = spec.classes
        self.joint = joint
        self.balanced_critic = balanced_critic
        self.unlabeled_prior = unlabeled_prior
        self.encoder_s = backbones.encoder(spec, backbone, width, self.relevant)
        self.encoder_u = backbones.encoder(spec, backbone, width, self.irrelevant, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, sum(sizes))
        self.critic = backbones.critic(spec, backbone, width)
        self.adversary = backbones.latent_classifier(spec, backbone, self.irrelevant)
        self.prior: ClassGaussians | None = None
        self.classifier: nn.Linear | None = None
        self.moments: ClassMoments | None = None
        if label_loss == "mixture":
            self.prior = ClassGaussians(spec.classes, self.relevant)
            self.optimizers = {"prior_scale": {"schedule": SCHEDULES[variance_schedule]}}
        else:
            self.classifier = nn.Linear(self.relevant, spec.classes)
            glorot(self.classifier)
        if label_loss == "softmax" or sample_from == "moments":
            self.moments = ClassMoments(spec.classes, self.relevant)
        self._arrange(prior_steps)

    def _arrange(self, prior_steps: int) -> None:
        """Edit stages and objective as the arguments say."""
        objective = {player: dict(weights) for player, weights in self.objective.items()}
        firsts = ["prior", "prior_scale"]
        if self.classifier is not None:
            objective["prior"] = {"classify_s": 1.0}
            del objective["prior_scale"], objective["encoder_s"]["gm_likelihood"]
            firsts.remove("prior_scale")
        self.stages = (Stage("prior", tuple(firsts), repeat=prior_steps), *self.stages[1:])
        if self.joint:
            weights = objective["encoder_s"]
            for term, weight in objective["prior"].items():
                weights[term] = weights.get(term, 0.0) + weight
            self.stages = (Stage("joint", (*firsts, *MAIN)),)
        self.objective = objective

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each player; `prior` shares `E_s`, with moments of its own."""
        networks = super().players()
        of_prior: list[nn.Parameter] = [] if self.joint else list(networks["encoder_s"])
        players = {"prior": of_prior}
        if self.prior is not None:
            of_prior.append(self.prior.means)
            players["prior_scale"] = [self.prior.logvars]
        if self.classifier is not None:
            of_prior.extend(self.classifier.parameters())
        return players | {name: networks[name] for name in MAIN}

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the terms of stage `prior` (Eq. 7, 8), `main` (2-5, 7, 10-11a), or of both."""
        x, y, labeled = batch
        if stage == "prior":  # examples without label do not move the class Gaussians
            x, y = x[:labeled], y[:labeled]
        z_s = self.encoder_s(x)
        if self.moments is not None and stage != "main":
            self.moments.update(z_s[:labeled], y[:labeled])
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
            values |= self._hinge_terms(
                self.critic, x, y, reconstruction, balanced=self.balanced_critic
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
            values["gm_likelihood"] = terms.gm_likelihood(of_label, y, means, logvars)
            if labeled < len(z_s):
                share, others = labeled / len(z_s), z_s[labeled:]
                if self.unlabeled_prior == "mixture":
                    of_others = terms.mixture_nll(terms.gm_logits(others, means, logvars))
                else:
                    of_others = terms.gaussian_nll(others, *terms.moment_match(means, logvars))
                values["gm_likelihood"] = share * values["gm_likelihood"] + (1 - share) * of_others
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
        """Return means and variances `[K, D_s]` of the Gaussians that samples come from."""
        means, logvars = self._gaussians()
        return means, logvars.exp()

    def _gaussians(self) -> tuple[Tensor, Tensor]:
        source = self.prior if self.moments is None else self.moments
        assert source is not None
        means, logvars = source()
        return means, logvars

    def draw_relevant(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw `[B, D_s]` from the class Gaussian of each label (section 4.2)."""
        return draw(*self._gaussians(), y, generator)
