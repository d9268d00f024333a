"""CCVAE: codes that capture a label's characteristics (Joy et al., ICLR 2021, arXiv 2006.10102).

An encoder `q(z | x)` that never sees the label makes a code of two parts. The relevant part `z_c`
has learned diagonal Gaussians as prior `p(z_c | y)`, and a classifier `q(y | z_c)` reads the label
from it; the prior of the other part, `z_u`, is the standard normal. In the paper `y` is a vector of
binary attributes, each with a block of `z_c` of its own: a Gaussian for each of its two values, and
one logit. On data without attributes there is a Gaussian over `z_c` for each class. Both are `G`
labels of `V` values each: `A` labels of two values, or one of `K`.

With the weight `w = q(y | z_c) / q(y | x)`, which turns samples of `q(z | x)` into samples of
`q(z | x, y)`, the bound on `log p(x, y)` is minus the sum of five terms. An example without label
has the bound on `log p(x)` that also takes its label from `q(y | z_c)`, over which `E` is. It goes
into the same terms, which are means over all examples of the batch:

                     with label                          without label
    reconstruct     -w log p(x | z)                     -log p(x | z)
    kl_relevant      w KL(q(z_c | x) || p(z_c | y))      E KL(q(z_c | x) || p(z_c | y))
    kl_irrelevant    w KL(q(z_u | x) || N(0, I))         KL(q(z_u | x) || N(0, I))
    certainty        w log q(y | z_c)                    E log q(y | z_c)
    classify        -log q(y | x)                        0

A uniform `p(y)` adds a constant. `q(y | x)`, the mean of `q(y | z_c)` under `q(z | x)`, is
estimated with samples of its own, all classified in one call that takes memory for
`label_samples * B * (D_c + G * V)` numbers. Terms are means over pixels and dimensions; the
objective's weights make a bound of them. With `laplace` it is the paper's, in nats, at unit scale
for pixels in [0, 1], with its constant, since `w` multiplies that. With `squared`, the default, it
is the bound of Gaussian pixels without their constant, divided by the size of `z`: pixels and KL
have the weights 10 and 1 of the methods it is compared with.

In the numerator of `w` the code is detached, as the authors do to lower the variance. So the
encoder's estimator is biased; the classifier still learns from the numerator.

Departures from the paper. For examples without label the authors draw `y`; here `E` is a sum over
the values of each label, exact since labels are independent given `z_c`. The KL is in closed form,
as in their PyTorch code: the bound of the posterior `q(z | x) q(y | x)`, lowered by the information
that `y` and `z_c` share given `x`. Batches mix examples with and without label; the authors' hold
one kind, those with label as often as their share of the data. `p(y)` is uniform; the authors have
the frequencies of the known labels. Where all labels are known it is a constant.

The published form, of the authors' two repositories, is made by options: an attribute has one
coordinate (`relevant` is the number of attributes), the likelihood is `laplace`, `scales` are
`softplus`, and a sweep sets Adam at 1e-4 with torch's betas (`sweeps/attributes.yaml`). On CelebA
it has 18 attributes, 27 more dimensions, batches of 200 and 200 epochs (95 with Pyro). What stays
different: the networks, which are the family's, and the clamp of `w` to 100. Their Pyro code starts
the means at +2 and -2, as here, their PyTorch code at 0. `certainty` keeps its gradient, as in the
latter and unlike the former.

With several coordinates to an attribute, a block's weights start at one over its size; the
published start is 1. Neither repository has single labels. A port of others to JAX
(`MattX20/CCVAE_Jax`) does: one coordinate and a logit for each class, a softmax over these, and
means at +2 for the class and -2 for all others, of 50 dimensions, with a Laplace likelihood on
CIFAR-10 and a Bernoulli one on MNIST. `diagonal` is that with blocks: each alone makes the logit of
its class. The port learns two Gaussians for each coordinate, of its class and of all others; here
each class has its own for all coordinates. `linear` is ours: it reads all of `z_c`, its means start
as in CSVAE and its weights along them.
"""

from math import log, prod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import AtLeastOne, Batch, Positive, Posterior, Stage
from models import backbones, terms
from models.autoencoders import LabelSubspaceVAE
from models.blocks import LabelGaussians, spread

MEAN = 2.0  # of a class in its own block at the start, and of an attribute that is 1; else -2
RADIUS = 3.0  # of the sphere on which class means start for the linear head
LARGEST = 100.0  # weight of an example
SMALLEST = 1e-3  # scale of a Gaussian, where scales are softplus of what is learned


def softplus_logvar(raw: Tensor) -> Tensor:
    """Return the log-variances of Gaussians whose scales are `softplus(raw)`, at least 0.001."""
    return 2 * F.softplus(raw).clamp(min=SMALLEST).log()


class SoftplusGaussians(LabelGaussians):
    """Gaussians of labels whose scales are learned as in the authors' code, from softplus(1) on."""

    def __init__(self, labels: int, values: int, dimensions: int, every: Tensor) -> None:
        super().__init__(labels, values, dimensions, every)
        nn.init.ones_(self.logvars)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return means and log-variances, each `[K, D]`."""
        return self.means, softplus_logvar(self.logvars)


class BlockClassifier(nn.Module):
    """A classifier with a block of `m` coordinates of the code for each of `K` logits."""

    def __init__(self, logits: int, block: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((logits, block), 1 / block))
        self.bias = nn.Parameter(torch.zeros(logits))

    def forward(self, z_c: Tensor) -> Tensor:
        """Return logits `[..., K]` of codes `[..., K * m]`, block by block in order."""
        blocks = z_c.reshape(*z_c.shape[:-1], *self.weight.shape)
        return (blocks * self.weight).sum(-1) + self.bias


class CCVAE(LabelSubspaceVAE):
    """The characteristic capturing VAE, for classes or attributes, all or some of them known.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        relevant: Size of `z_c`. The family's relevant code where None, which the diagonal head
            rounds to a multiple of the number of classes or attributes.
        irrelevant: Size of the rest, the family's irrelevant code where None.
        head: Classifier: a block of coordinates for each class or attribute, or all coordinates
            for all classes.
        likelihood: The paper's, or the squared error of the other methods.
        scales: What is learned of the scales of encoder and prior: log-variances, those of the
            prior in [-6, 4], or, as published, what softplus makes scales of, above 0.001.
        label_samples: Samples in the estimate of `q(y | x)`.
    """

    title: ClassVar[str] = "CCVAE"
    later_options: ClassVar[tuple[str, ...]] = ("scales",)
    stages = (Stage("main", ("encoder", "decoder", "prior", "classifier")),)
    capabilities: ClassVar[tuple[str, ...]] = ("semi-supervised", "attributes")

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        relevant: AtLeastOne | None = None,
        irrelevant: AtLeastOne | None = None,
        head: Literal["diagonal", "linear"] = "diagonal",
        likelihood: Literal["laplace", "squared"] = "squared",
        scales: Literal["log-variance", "softplus"] = "log-variance",
        label_samples: AtLeastOne = 100,
    ) -> None:
        super().__init__(spec)
        attributes = self.attributes
        if attributes and head == "linear":
            raise ValueError(
                f"head linear reads all coordinates for all classes, but each of {attributes} "
                f"attributes has a block of its own; use head diagonal for {spec.name}"
            )
        sizes = backbones.code_sizes(spec, backbone, relevant, irrelevant)
        self.relevant, self.irrelevant = sizes
        blocks = attributes or spec.classes
        if head == "diagonal" and relevant is None:
            self.relevant = blocks * max(1, round(self.relevant / blocks))
        if head == "diagonal" and self.relevant % blocks:
            owners = f"{attributes} attributes" if attributes else f"{blocks} classes"
            way_out = "" if attributes else "; or use head linear"
            raise ValueError(
                "the diagonal head gives each class or attribute equally many coordinates: "
                f"relevant must be a multiple of {owners}, got {self.relevant}{way_out}"
            )
        self.likelihood, self.scales = likelihood, scales
        self.label_samples = label_samples
        size = self.relevant + self.irrelevant
        self.encoder = backbones.encoder(spec, backbone, width, size, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, size)
        form = SoftplusGaussians if scales == "softplus" else LabelGaussians
        self.prior = self._make_prior(spec, form)
        self.classifier: nn.Module
        if head == "diagonal":
            block = self.relevant // blocks
            self.classifier = BlockClassifier(blocks, block)
            with torch.no_grad():
                means = self.prior.means.fill_(-MEAN)
                if attributes:  # of each attribute a row for 0 and one for 1
                    means[1::2] = MEAN
                else:
                    means.view(blocks, blocks, block).diagonal().fill_(MEAN)
        else:
            self.classifier = nn.Linear(self.relevant, spec.classes)
            spread(self.prior.means, RADIUS)
            with torch.no_grad():  # logits at class means as far apart as those of the blocks
                self.classifier.weight.copy_(self.prior.means).mul_(2 * MEAN / RADIUS**2)
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
        # All nats of the bound have one price, those of the label too.
        self.nats = {
            "kl_relevant": self.relevant,
            "kl_irrelevant": self.irrelevant,
            "certainty": 1,
            "classify": 1,
        }
        self.objective = {
            "encoder": weights,
            "decoder": {"reconstruct": weights["reconstruct"]},
            "prior": {"kl_relevant": weights["kl_relevant"]},
            "classifier": dict(weights),
        }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the five terms of the two bounds."""
        x, known = batch.x, batch.labeled
        y = self._given(batch.y[:known])
        mean, logvar = self._gaussian(terms.widen(self.encoder(x)))
        deviation = (0.5 * logvar).exp()
        z = mean + deviation * torch.randn_like(mean)
        mean_c, logvar_c, z_c = (t[:, : self.relevant] for t in (mean, logvar, z))
        noise = mean.new_empty(self.label_samples, known, self.relevant).normal_()
        draws = mean_c[:known] + deviation[:known, : self.relevant] * noise
        log_q_of_x = self._log_q_of(draws, y).logsumexp(dim=0) - log(self.label_samples)
        w = (self._log_q_of(z_c[:known].detach(), y) - log_q_of_x).exp().clamp(max=LARGEST)

        of_label = self.prior.of(y)
        kl_relevant = terms.gaussian_kl(mean_c[:known], logvar_c[:known], *of_label).mean(dim=1)
        certainty = self._log_q_of(z_c[:known], y)
        if known < len(x):
            w = torch.cat((w, w.new_ones(len(x) - known)))
            expected = self._expected(mean_c[known:], logvar_c[known:], z_c[known:])
            kl_relevant = torch.cat((kl_relevant, expected[0]))
            certainty = torch.cat((certainty, expected[1]))
        zero = mean.new_zeros(self.irrelevant)
        rest = mean[:, self.relevant :], logvar[:, self.relevant :]
        kl_irrelevant = terms.gaussian_kl(*rest, zero, zero).mean(dim=1)
        values = {
            "kl_relevant": (w * kl_relevant).mean(),
            "kl_irrelevant": (w * kl_irrelevant).mean(),
            "certainty": (w * certainty).mean(),
            "classify": -log_q_of_x.sum() / len(x),
        }
        if "reconstruct" in wanted:
            values["reconstruct"] = (w * self._distortion(x, self.decoder(z))).mean()
        return values

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussians of the two parts; labels are not needed."""
        mean, logvar = self._gaussian(self.encoder(x))
        sizes = [self.relevant, self.irrelevant]
        parts = (torch.split(moment, sizes, dim=1) for moment in (mean, logvar.exp()))
        relevant, irrelevant = zip(*parts, strict=True)
        return Posterior(relevant, irrelevant)

    def class_logits(self, x: Tensor) -> Tensor:
        """Return `log q(y | z_c)` of every class `[B, K]` at the posterior mean."""
        log_q = self._log_q(self.encoder(x)[:, : self.relevant])
        return log_q[:, torch.arange(self.labels, device=x.device), self.prior.every].sum(dim=-1)

    def _gaussian(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances, each `[B, D]`, for the encoder's output `[B, 2 D]`."""
        mean, raw = output.chunk(2, dim=1)
        return mean, softplus_logvar(raw) if self.scales == "softplus" else raw

    def _log_q(self, z_c: Tensor) -> Tensor:
        """Return the log-probability of each value of each label, `[..., G, V]`, given codes."""
        logits = terms.widen(self.classifier(z_c))
        # An attribute's only logit is that of 1 against 0.
        logits = F.pad(logits.unsqueeze(-1), (1, 0)) if self.attributes else logits.unsqueeze(-2)
        return F.log_softmax(logits, dim=-1)

    def _log_q_of(self, z_c: Tensor, y: Tensor) -> Tensor:
        """Return `log q(y | z_c)`, `[..., B]`, of codes `[..., B, D_c]` and labels `[B, G]`."""
        index = y.expand(*z_c.shape[:-1], -1).unsqueeze(-1)
        return self._log_q(z_c).gather(-1, index).squeeze(-1).sum(dim=-1)

    def _expected(self, mean: Tensor, logvar: Tensor, z_c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the expected KL `[B]`, a mean over dimensions, and `E log q(y | z_c)` `[B]`."""
        log_q = self._log_q(z_c)
        q = log_q.exp()
        means, logvars = (t.view(self.labels, self.values, -1) for t in self.prior())
        mean, logvar = (t.reshape(len(t), self.labels, -1).transpose(0, 1) for t in (mean, logvar))
        kl = terms.gaussian_kl_to_each(mean, logvar, means, logvars).transpose(0, 1)
        return (q * kl).sum(dim=(1, 2)) / self.relevant, (q * log_q).sum(dim=(1, 2))

    def _distortion(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Return `-log p(x | z)` of each example, a mean over pixels; `squared` up to scale."""
        error = (terms.widen(reconstruction) - terms.widen(x)).flatten(1)
        if self.likelihood == "squared":
            return error.square().mean(dim=1)
        return (error.abs() / 2 + log(2)).mean(dim=1)
