"""CCVAE: codes that capture a label's characteristics (Joy et al., ICLR 2021, arXiv 2006.10102).

An encoder `q(z | x)` that never sees the label makes a code of two parts. The relevant part `z_c`
has a learned diagonal Gaussian a class as prior `p(z_c | y)`, and a classifier `q(y | z_c)` reads
the label from it; the prior of the other part is the standard normal. With the weight
`w = q(y | z_c) / q(y | x)`, which turns samples of `q(z | x)` into such of `q(z | x, y)`, the
supervised bound on `log p(x, y)` is minus the sum of five terms, each a mean over the rows:

    reconstruct     -w log p(x | z)
    kl_relevant      w KL(q(z_c | x) || p(z_c | y))
    kl_irrelevant    w KL(q(z_u | x) || N(0, I))
    certainty        w log q(y | z_c)
    classify        -log q(y | x)

and of `log K`, for the uniform `p(y)`, which has no gradient. `q(y | x)`, the mean of `q(y | z_c)`
under `q(z | x)`, is estimated with samples of its own, all classified in one call: memory goes with
`label_samples * B * (D_c + K)` numbers. Terms are means over pixels and dimensions, as everywhere
here; what makes a bound of them stands in the objective table. With `laplace` it is the paper's, in
nats, at unit scale for pixels in [0, 1], with its constant, since `w` multiplies that. With
`squared`, the default, it is the bound of Gaussian pixels without their constant, divided by the
size of `z`: pixels and KL weigh what they do in the methods it is compared with, 10 and 1 on means.

In the numerator of `w` the code is detached, as the authors do to lower the variance. This keeps no
other player from a gradient: only the encoder is behind the code, so it is the encoder's estimator
that changes (it is biased), and the classifier still learns from the numerator. What is left, the
gradient of `-log q(y | x)` inside `w`, pulls the encoder towards the right class with the size of
all that `w` multiplies; `certainty` and `classify` themselves all but cancel where `w` is 1. Label
terms heavier than in a bound are not safe: where `certainty` outweighs pixels and KL the pull turns
around. With weights of 1 beside `squared` the linear head diverged on digits.

Departures from the paper: one label of many classes instead of binary ones. `diagonal` gives each
class a block of coordinates that alone makes its logit, and class means start at +2 in their own
block and at -2 elsewhere; `linear` reads all of `z_c`, its means start as in CSVAE, and its weights
along them, since tables move slowly and samples come from where they stand. A
block's weights start at one over its size, so that logits start alike for all sizes; the published
start is 1, for a single coordinate. `certainty` keeps its gradient, as in the authors' plain
PyTorch code and unlike their Pyro code. `w` is clamped to 100. Class scales are log-variances in
[-6, 4] instead of a softplus above 0.001, the encoder's are free. Networks are the family's, and
the optimizer is the harness's, where the paper has Adam at 1e-4. The objective for rows without a
label is left for later.
"""

from math import log, prod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Code, ConditionalGenerator, Stage
from models import backbones, terms
from models.blocks import ClassGaussians, normal, spread

MEAN = 2.0  # of a class in its own block at the start; -2 elsewhere
RADIUS = 3.0  # of the sphere on which class means start for the linear head
LARGEST = 100.0  # weight of a row


class BlockClassifier(nn.Module):
    """A classifier whose logit of a class reads that class's own block of the code.

    Args:
        classes: `K`.
        block: Coordinates a class, `m`.
    """

    def __init__(self, classes: int, block: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((classes, block), 1 / block))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, z_c: Tensor) -> Tensor:
        """Return logits `[..., K]` of codes `[..., K * m]`, class by class in order."""
        blocks = z_c.reshape(*z_c.shape[:-1], *self.weight.shape)
        return (blocks * self.weight).sum(-1) + self.bias


class CCVAE(ConditionalGenerator):
    """The characteristic capturing VAE, with its supervised objective.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of `z_c`. The family's relevant code where None; for the diagonal head that
            is rounded to a multiple of the number of classes.
        irrelevant: Size of the rest, the family's irrelevant code where None.
        head: Classifier: a block of coordinates for each class, or all coordinates for all.
        likelihood: The paper's, or the squared error of the other methods.
        label_samples: Samples in the estimate of `q(y | x)`.
    """

    stages = (Stage("main", ("encoder", "decoder", "prior", "classifier")),)
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "classify")

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: float = 1.0,
        relevant: int | None = None,
        irrelevant: int | None = None,
        head: Literal["diagonal", "linear"] = "diagonal",
        likelihood: Literal["laplace", "squared"] = "squared",
        label_samples: int = 100,
    ) -> None:
        super().__init__()
        if head not in ("diagonal", "linear"):
            raise ValueError(f"head must be diagonal or linear, got {head!r}")
        if likelihood not in ("laplace", "squared"):
            raise ValueError(f"likelihood must be laplace or squared, got {likelihood!r}")
        if label_samples < 1:
            raise ValueError(f"q(y | x) needs at least one sample, got {label_samples}")
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        self.classes = spec.classes
        if head == "diagonal" and relevant is None:
            self.relevant = self.classes * max(1, round(self.relevant / self.classes))
        if head == "diagonal" and self.relevant % self.classes:
            raise ValueError(
                f"the diagonal head gives each class equally many coordinates: relevant must be "
                f"a multiple of {self.classes} classes, got {self.relevant}; or use head linear"
            )
        self.likelihood = likelihood
        self.label_samples = label_samples
        size = self.relevant + self.irrelevant
        self.encoder = backbones.encoder(spec, backbone, width, size, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, size)
        self.prior = ClassGaussians(self.classes, self.relevant)
        self.classifier: nn.Module
        if head == "diagonal":
            block = self.relevant // self.classes
            self.classifier = BlockClassifier(self.classes, block)
            own = torch.eye(self.classes).repeat_interleave(block, dim=1)
            with torch.no_grad():
                self.prior.means.copy_(MEAN * (2 * own - 1))
        else:
            self.classifier = nn.Linear(self.relevant, self.classes)
            spread(self.prior.means, RADIUS)
            with torch.no_grad():  # logits at class means as far apart as those of the blocks
                self.classifier.weight.copy_(2 * MEAN / RADIUS**2 * self.prior.means)
                self.classifier.bias.zero_()
        if likelihood == "laplace":
            pixels, unit = float(prod(spec.shape)), 1.0
        else:
            pixels, unit = 10.0, 1 / size
        weights = {
            "reconstruct": pixels,
            "kl_relevant": self.relevant * unit,
            "kl_irrelevant": self.irrelevant * unit,
            "certainty": unit,
            "classify": unit,
        }
        self.objective = {
            "encoder": weights,
            "decoder": {"reconstruct": weights["reconstruct"]},
            "prior": {"kl_relevant": weights["kl_relevant"]},
            "classifier": dict(weights),
        }

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns what."""
        return {
            "encoder": list(self.encoder.parameters()),
            "decoder": list(self.decoder.parameters()),
            "prior": list(self.prior.parameters()),
            "classifier": list(self.classifier.parameters()),
        }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the five terms of the supervised bound."""
        x, y = batch.x, batch.y
        if batch.labeled != len(y):
            raise ValueError(f"CCVAE needs a label in each of {len(y)} rows, not {batch.labeled}")
        mean, logvar = terms.widen(self.encoder(x)).chunk(2, dim=1)
        deviation = (0.5 * logvar).exp()
        z = mean + deviation * torch.randn_like(mean)
        mean_c, z_c = mean[:, : self.relevant], z[:, : self.relevant]
        noise = mean.new_empty(self.label_samples, *mean_c.shape).normal_()
        draws = mean_c + deviation[:, : self.relevant] * noise
        log_q_of_x = self._log_q(draws, y).logsumexp(dim=0) - log(self.label_samples)
        w = (self._log_q(z_c.detach(), y) - log_q_of_x).exp().clamp(max=LARGEST)

        means, logvars = self.prior()
        of_label = F.embedding(y, means), F.embedding(y, logvars)
        kl_relevant = terms.gaussian_kl(mean_c, logvar[:, : self.relevant], *of_label)
        zero = mean.new_zeros(self.irrelevant)
        rest = mean[:, self.relevant :], logvar[:, self.relevant :]
        kl_irrelevant = terms.gaussian_kl(*rest, zero, zero)
        found = {
            "kl_relevant": (w * kl_relevant.mean(dim=1)).mean(),
            "kl_irrelevant": (w * kl_irrelevant.mean(dim=1)).mean(),
            "certainty": (w * self._log_q(z_c, y)).mean(),
            "classify": -log_q_of_x.mean(),
        }
        if "reconstruct" in wanted:
            found["reconstruct"] = (w * self._distortion(x, self.decoder(z))).mean()
        return found

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode draws from the Gaussians of the labels and the standard normal."""
        z_c = self.prior.sample(y, generator)
        z_u = normal(len(y), self.irrelevant, like=z_c, generator=generator)
        image: Tensor = self.decoder(torch.cat((z_c, z_u), dim=1))
        return image

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the two parts of the posterior mean; labels are not needed."""
        mean = self.encoder(x).chunk(2, dim=1)[0]
        return Code(mean[:, : self.relevant], mean[:, self.relevant :])

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes; labels are not needed."""
        if code.relevant is None or code.irrelevant is None:
            raise ValueError("CCVAE needs both parts of a code to decode it")
        image: Tensor = self.decoder(torch.cat((code.relevant, code.irrelevant), dim=1))
        return image

    def class_logits(self, x: Tensor) -> Tensor:
        """Return the classifier's logits at the posterior mean of the relevant part."""
        logits: Tensor = self.classifier(self.encoder(x)[:, : self.relevant])
        return logits

    def _log_q(self, z_c: Tensor, y: Tensor) -> Tensor:
        """Return `log q(y | z_c)`, `[..., B]`, of codes `[..., B, D_c]` and labels `[B]`."""
        log_q = F.log_softmax(terms.widen(self.classifier(z_c)), dim=-1)
        return log_q.gather(-1, y.expand(z_c.shape[:-1]).unsqueeze(-1)).squeeze(-1)

    def _distortion(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Return `-log p(x | z)` of each row, a mean over its pixels; squared: up to scale."""
        error = (terms.widen(reconstruction) - terms.widen(x)).flatten(1)
        if self.likelihood == "squared":
            return error.square().mean(dim=1)
        return (error.abs() / 2 + log(2)).mean(dim=1)
