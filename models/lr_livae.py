"""Lr-LiVAE: label-relevant and label-irrelevant codes (Zheng & Sun, CVPR 2019, arXiv 1812.09502).

An image has a relevant code `z_s = E_s(x)`, a point, whose prior is a mixture with one learned
diagonal Gaussian a class, and an irrelevant code `z_u ~ N(mu_u(x), sigma_u(x))` whose prior is the
standard normal. A decoder turns both into an image. A classifier `A` tries to read the label from
`z_u`, and `E_u` is trained to leave it at chance; a critic `D` judges reconstructions and samples.

An iteration is Algorithm 1: three times, on a new batch, `E_s` and the class Gaussians descend the
Gaussian-mixture loss (Eq. 9); then all networks move at once on the last of these batches.

Where the paper's formulas and its published code differ or leave a choice, this follows the code:
hinge losses for the critic, no margin in the mixture loss, the critic's gradient reaches the
decoder alone, and the class Gaussians move in the first stage only. It departs from it in three
places. Densities are computed in log space from log-variances, where the code multiplies
precisions and exponentiates distances, which underflows for hundreds of dimensions. Only the
variances' learning rate decays: by 0.01 after 2 epochs as the paper says (`paper`), or tenfold
every 10 epochs as the code does (`code`). And networks are evaluated with running batch-norm
statistics, where the code samples with those of the batch.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Code, ConditionalGenerator, Objective, Stage
from models import backbones, terms
from models.blocks import ClassGaussians, normal

SCHEDULES = {
    "paper": {"name": "drop", "at": 2.0, "factor": 0.01, "unit": "epochs"},
    "code": {"name": "staircase", "every": 10.0, "factor": 0.1, "unit": "epochs"},
    "constant": {"name": "constant"},
}


class LRIRVAE(ConditionalGenerator):
    """The label-relevant, label-irrelevant VAE-GAN.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of the relevant code, the family's where None.
        irrelevant: Size of the irrelevant code, the family's where None.
        variance_schedule: How the learning rate of the class variances decays.
    """

    stages = (
        Stage("prior", ("prior", "prior_scale"), repeat=3),
        Stage("main", ("encoder_s", "encoder_u", "decoder", "critic", "adversary"), fresh=False),
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
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "classify")

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: float = 1.0,
        relevant: int | None = None,
        irrelevant: int | None = None,
        variance_schedule: Literal["paper", "code", "constant"] = "paper",
    ) -> None:
        super().__init__()
        if variance_schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise ValueError(f"variance_schedule must be one of {known}; got {variance_schedule!r}")
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        self.classes = spec.classes
        self.optimizers = {"prior_scale": {"schedule": SCHEDULES[variance_schedule]}}
        self.encoder_s = backbones.encoder(spec, backbone, width, self.relevant)
        self.encoder_u = backbones.encoder(spec, backbone, width, self.irrelevant, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, sum(sizes))
        self.critic = backbones.critic(spec, backbone, width)
        self.adversary = backbones.latent_classifier(spec, backbone, self.irrelevant)
        self.prior = ClassGaussians(spec.classes, self.relevant)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns what; the prior's player shares `E_s`, with moments of its own."""
        return {
            "prior": [*self.encoder_s.parameters(), self.prior.means],
            "prior_scale": [self.prior.logvars],
            "encoder_s": list(self.encoder_s.parameters()),
            "encoder_u": list(self.encoder_u.parameters()),
            "decoder": list(self.decoder.parameters()),
            "critic": list(self.critic.parameters()),
            "adversary": list(self.adversary.parameters()),
        }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the terms of stage `prior` (Eq. 7 and 8) or `main` (Eq. 2 to 5, 7, 10, 11)."""
        x, y = batch.x, batch.y
        if batch.labeled != len(y):
            raise ValueError(
                f"Lr-LiVAE needs a label in each of {len(y)} rows, not {batch.labeled}"
            )
        z_s = self.encoder_s(x)
        means, logvars = self.prior()
        if stage == "prior":
            return {
                "gm_classify": terms.gm_classify(terms.gm_logits(z_s, means, logvars), y),
                "gm_likelihood": terms.gm_likelihood(z_s, y, means, logvars),
            }
        mean_u, logvar_u = terms.widen(self.encoder_u(x)).chunk(2, dim=1)
        z_u = mean_u + (0.5 * logvar_u).exp() * torch.randn_like(mean_u)
        found = {
            "gm_likelihood": terms.gm_likelihood(z_s, y, means, logvars),
            "kl": terms.kl_to_standard_normal(mean_u, logvar_u),
        }
        if not wanted.isdisjoint(("confuse", "classify_u")):
            logits = self.adversary(z_u)
            found["confuse"] = terms.confuse(logits)
            found["classify_u"] = terms.classify(logits, y)
        if not wanted.isdisjoint(("reconstruct", "fool", "discriminate")):
            reconstruction = self.decoder(torch.cat((z_s, z_u), dim=1))
            found["reconstruct"] = terms.reconstruct(x, reconstruction)
        if not wanted.isdisjoint(("fool", "discriminate")):
            y_sample = torch.randint(self.classes, y.shape, device=y.device)
            # A call of its own: batch norm must not mix the statistics of codes and of draws.
            sample = self.decoder(self._draw(y_sample))
            weights = self.critic.weights()
            real = self.critic(x, y, weights)
            fakes = torch.cat((reconstruction, sample)), torch.cat((y, y_sample))
            of_reconstruction, of_sample = self.critic(*fakes, weights).chunk(2)
            found["discriminate"] = terms.discriminate(real, of_reconstruction, of_sample)
            found["fool"] = terms.fool(of_reconstruction, of_sample)
        return found

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode draws from the class Gaussians and the standard normal (section 4.2)."""
        image: Tensor = self.decoder(self._draw(y, generator))
        return image

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return `E_s(x)` and the mean of `E_u(x)`; labels are not needed."""
        return Code(self.encoder_s(x), self.encoder_u(x).chunk(2, dim=1)[0])

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes; labels are not needed."""
        if code.relevant is None or code.irrelevant is None:
            raise ValueError("Lr-LiVAE needs both parts of a code to decode it")
        image: Tensor = self.decoder(torch.cat((code.relevant, code.irrelevant), dim=1))
        return image

    def class_logits(self, x: Tensor) -> Tensor:
        """Return the log-densities of the relevant code under the class Gaussians."""
        return terms.gm_logits(self.encoder_s(x), *self.prior())

    def _draw(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw codes `[B, D_s + D_u]` from the prior of each label."""
        z_s = self.prior.sample(y, generator)
        z_u = normal(len(y), self.irrelevant, like=z_s, generator=generator)
        return torch.cat((z_s, z_u), dim=1)
