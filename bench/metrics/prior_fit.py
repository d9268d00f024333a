"""Whether codes of real images lie where samples are drawn from, and whether they are used at all.

Otherwise the decoder has never learned by reconstruction what a draw from the prior should become.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet
from bench.metrics.encoder_decoder import BATCH, NO_MODEL
from bench.training.interface import Infers, as_given

ACTIVE = 0.01  # variance of a posterior mean over images (Burda et al., ICLR 2016, section 5.2)


class _Gaussians(NamedTuple):
    """Posteriors of one part of the code, and the prior of each image, all `float64` `[N, D]`."""

    mean: Tensor
    variance: Tensor
    prior_mean: Tensor
    prior_variance: Tensor


@dataclass(frozen=True)
class PriorFit(Metric):
    r"""Distance of the codes of real test images from their prior, in units of its variance.

    .. math:: \tfrac1D \sum_d E_x E_{q(z|x)} (z_d - \mu_{y,d})^2 / \sigma_{y,d}^2

    This is 1 if the codes of all images together have the moments of the prior, small if they crowd
    at its center, and large if they lie in its tails or beyond. `relevant_distance` is that of the
    relevant code under the Gaussian of the image's class, `irrelevant_distance` that of the
    irrelevant code under the standard normal. For the irrelevant code there are also the
    Kullback-Leibler divergence of the posterior, in nats a dimension (`irrelevant_kl`), and the
    share of dimensions whose posterior mean varies over images by more than 0.01
    (`irrelevant_active`, in percent): both are near 0 if the code has collapsed onto its prior and
    carries no information. A code that the model lacks has a reason instead of values.
    """

    name = "prior_fit"
    quantities = {
        "relevant_distance": Quantity("Relevant code from prior", "one", 2),
        "irrelevant_distance": Quantity("Irrelevant code from prior", "one", 2),
        "irrelevant_kl": Quantity("KL of the irrelevant code (nats a dimension)", None, 3),
        "irrelevant_active": Quantity("Active irrelevant dimensions (%)", None, 0),
    }

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure all four on the test images; the samples are not used."""
        found, values = _posteriors(context), {}
        if "relevant" in found:
            mean, variance, center, scale = found["relevant"]
            excess = (mean - center).square() + variance
            values["relevant_distance"] = (excess / scale).mean().item()
        if "irrelevant" in found:
            mean, variance, *_ = found["irrelevant"]
            kl = _divergence(found["irrelevant"])
            active = mean.var(dim=0, unbiased=False) > ACTIVE
            values["irrelevant_distance"] = (mean.square() + variance).mean().item()
            values["irrelevant_kl"] = kl.mean().item()
            values["irrelevant_active"] = 100 * active.double().mean().item()
        for name, value in values.items():
            _require_finite(name, value)
        protocol = f"codes[n={len(context.data.test)}]"
        return [
            Measurement(name, protocol, values[name])
            if name in values
            else Measurement(name, "", None, "it has no such code")
            for name in self.quantities
        ]


@dataclass(frozen=True)
class Rate(Metric):
    r"""Divergence of the posteriors of real test images from the priors of samples.

    .. math:: \mathbb E_x\, D_{KL}\big(q(z|x)\,\|\,p(z|y)\big) \quad\text{in nats an image}

    Alemi et al. (ICML 2018) show models by their rate against their distortion, which is an error
    of `reconstruction`. `relevant_rate` is that of the relevant code from the Gaussian of the
    image's class, `irrelevant_rate` that of the irrelevant code from the standard normal, and
    `rate` is the sum of those that the model has. A code that is a point has no rate.
    """

    name = "rate"
    quantities = {
        "rate": Quantity("Rate (nats an image)", None, 1),
        "relevant_rate": Quantity("Rate of the relevant code (nats an image)", None, 1),
        "irrelevant_rate": Quantity("Rate of the irrelevant code (nats an image)", None, 1),
    }

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure all three on the test images; the samples are not used."""
        found, values, reasons = _posteriors(context), dict[str, float](), dict[str, str]()
        for part in ("relevant", "irrelevant"):
            name = f"{part}_rate"
            if part not in found:
                reasons[name] = "it has no such code"
            elif not (found[part].variance > 0).all():
                reasons[name] = reasons["rate"] = f"its {part} code is a point"
            else:
                values[name] = _divergence(found[part]).sum(dim=1).mean().item()
        if "rate" not in reasons:
            values["rate"] = sum(values.values())
        protocol = f"kl[prior=of-samples,n={len(context.data.test)}]"
        for name, value in values.items():
            _require_finite(name, value)
        return [
            Measurement(name, protocol, values[name])
            if name in values
            else Measurement(name, "", None, reasons[name])
            for name in self.quantities
        ]


def _divergence(of: _Gaussians) -> Tensor:
    """Return the Kullback-Leibler divergences of posteriors from priors, `[N, D]`, in nats."""
    ratio = of.variance / of.prior_variance
    squared = (of.mean - of.prior_mean).square() / of.prior_variance
    return 0.5 * (squared + ratio - 1 - ratio.log())


def _posteriors(context: Context) -> dict[str, _Gaussians]:
    """Return the posteriors of all test images: part of the code -> Gaussians, where there are any.

    The prior of the `relevant` code is the Gaussian of the image's class; that of the `irrelevant`
    code is the standard normal.
    """
    model, test = context.model, context.data.test
    if model is None:
        raise NotApplicable(NO_MODEL)
    if not isinstance(model, Infers):
        raise NotApplicable("the model infers no codes")
    prior = model.class_prior()
    parts: dict[str, list[_Gaussians]] = {}
    with torch.inference_mode():
        for x, y in zip(torch.split(test.x, BATCH), torch.split(test.y, BATCH), strict=True):
            x, y = to_float(x).to(context.device), y.to(context.device)
            posterior = model.posterior(x, as_given(model, context.data.spec, y))
            if posterior.relevant is not None and prior is not None:
                mean, variance = posterior.relevant
                gaussians = _Gaussians(mean, variance, prior[0][y], prior[1][y])
                parts.setdefault("relevant", []).append(gaussians)
            if posterior.irrelevant is not None:
                mean, variance = posterior.irrelevant
                gaussians = _Gaussians(
                    mean, variance, torch.zeros_like(mean), torch.ones_like(variance)
                )
                parts.setdefault("irrelevant", []).append(gaussians)
    whole = {part: map(torch.cat, zip(*batches, strict=True)) for part, batches in parts.items()}
    return {part: _Gaussians(*(v.double().cpu() for v in values)) for part, values in whole.items()}


def _require_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise BenchError(
            f"{name} is {value}: posteriors of real images have values that are not finite"
        )
