"""Whether codes of real images lie where samples are drawn from, and whether they are used at all.

Otherwise the decoder has never learned by reconstruction what a draw from the prior should become.
"""

import math
from dataclasses import dataclass

import torch

from bench.data.base import to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet
from bench.metrics.encoder_decoder import BATCH, NO_MODEL
from bench.training.interface import Infers, as_given

ACTIVE = 0.01  # variance of a posterior mean over images (Burda et al., ICLR 2016, section 5.2)


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
        model, test = context.model, context.data.test
        if model is None:
            raise NotApplicable(NO_MODEL)
        if not isinstance(model, Infers):
            raise NotApplicable("the model infers no codes")
        prior = model.class_prior()
        relevant, means, variances = [], [], []
        with torch.inference_mode():
            for x, y in zip(torch.split(test.x, BATCH), torch.split(test.y, BATCH), strict=True):
                x, y = to_float(x).to(context.device), y.to(context.device)
                posterior = model.posterior(x, as_given(model, context.data.spec, y))
                if posterior.relevant is not None and prior is not None:
                    mean, variance = posterior.relevant
                    excess = (mean - prior[0][y]).double().square() + variance.double()
                    relevant.append((excess / prior[1][y].double()).cpu())
                if posterior.irrelevant is not None:
                    means.append(posterior.irrelevant[0].double().cpu())
                    variances.append(posterior.irrelevant[1].double().cpu())
        values = {}
        if relevant:
            values["relevant_distance"] = torch.cat(relevant).mean().item()
        if means:
            mean, variance = torch.cat(means), torch.cat(variances)
            kl = 0.5 * (mean.square() + variance - 1 - variance.log())
            active = mean.var(dim=0, unbiased=False) > ACTIVE
            values["irrelevant_distance"] = (mean.square() + variance).mean().item()
            values["irrelevant_kl"] = kl.mean().item()
            values["irrelevant_active"] = 100 * active.double().mean().item()
        for name, value in values.items():
            if not math.isfinite(value):
                raise BenchError(
                    f"{name} is {value}: posteriors of real images have values that are not finite"
                )
        protocol = f"codes[n={len(test)}]"
        return [
            Measurement(name, protocol, values[name])
            if name in values
            else Measurement(name, "", None, "it has no such code")
            for name in self.quantities
        ]
