"""Whether codes lie where samples are drawn from, and whether they are used at all.

A sample decodes a draw from the prior. Where the codes of real images lie far inside the prior, or
outside of it, the decoder has never learned by reconstruction what that draw should become. This
needs the model, so real images have no such figures.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from bench.data.base import to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.codes import BATCH
from bench.training.interface import Infers, as_given

ACTIVE = 0.01  # variance of a posterior mean over images (Burda et al., ICLR 2016, section 5.2)
FIGURES = ("relevant_distance", "irrelevant_distance", "irrelevant_kl", "irrelevant_active")


class PriorFit(Metric):
    r"""Distance of the codes of real test images from their prior, in units of its variance.

    .. math:: \tfrac1D \sum_d E_x E_{q(z|x)} (z_d - \mu_{y,d})^2 / \sigma_{y,d}^2

    This is 1 where the codes of all images together have the moments of the prior, small where they
    crowd at its center, and large where they lie in its tails or beyond. `relevant_distance` is
    that of the relevant code under the Gaussian of the image's class, `irrelevant_distance` that of
    the other code under the standard normal. For the latter there are the Kullback-Leibler
    divergence of the posterior, in nats a dimension (`irrelevant_kl`), and the share of dimensions
    whose posterior mean varies over images by more than 0.01 (`irrelevant_active`, in percent):
    both are near 0 where the code has collapsed onto its prior and says nothing.
    """

    name: ClassVar[str] = "prior_fit"
    direction: ClassVar[Direction] = "one"

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the four figures, without a value where the model lacks the code.

        Args:
            samples: Not looked at.
            context: The model, and the test images.

        Returns:
            The figures, each with its reason where it has no value.

        Raises:
            NotApplicable: If there is no model, or it infers no codes.
            BenchError: If a figure is not finite.
        """
        model = context.model
        if model is None:
            raise NotApplicable("is a property of a model's codes")
        if not isinstance(model, Infers):
            raise NotApplicable("the model infers no codes")
        test, spec = context.data.test, context.data.spec
        prior = model.class_prior()
        relevant, means, variances = [], [], []
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(test)), BATCH):
                x, y = to_float(test.x[rows]).to(context.device), test.y[rows].to(context.device)
                found = model.posterior(x, as_given(model, spec, y))
                if found.relevant is not None and prior is not None:
                    relevant.append(distance(*found.relevant, prior[0][y], prior[1][y]).cpu())
                if found.irrelevant is not None:
                    means.append(found.irrelevant[0].double().cpu())
                    variances.append(found.irrelevant[1].double().cpu())
        figures = {}
        if relevant:
            figures["relevant_distance"] = torch.cat(relevant).mean().item()
        if means:
            mean, variance = torch.cat(means), torch.cat(variances)
            kl = 0.5 * (mean.square() + variance - 1 - variance.log())
            active = mean.var(dim=0, unbiased=False) > ACTIVE
            figures["irrelevant_distance"] = (mean.square() + variance).mean().item()
            figures["irrelevant_kl"] = kl.mean().item()
            figures["irrelevant_active"] = 100 * active.double().mean().item()
        for name, value in figures.items():
            if not math.isfinite(value):
                raise BenchError(
                    f"{name} is {value}: posteriors of real images have values that are not finite"
                )
        protocol = f"codes[n={len(test)}]"
        return [
            Measurement(name, protocol, figures[name])
            if name in figures
            else Measurement(name, "", None, "it has no such code")
            for name in FIGURES
        ]


def distance(mean: Tensor, variance: Tensor, prior_mean: Tensor, prior_variance: Tensor) -> Tensor:
    """Return the expected squared distance from the prior, over its variance.

    Args:
        mean: Posterior means `[B, D]`.
        variance: Posterior variances `[B, D]`.
        prior_mean: Means of each row's prior `[B, D]`.
        prior_variance: Variances of each row's prior `[B, D]`.

    Returns:
        `float64` `[B, D]`.
    """
    excess = (mean - prior_mean).double().square() + variance.double()
    return excess / prior_variance.double()
