"""Variance within a class, of pixels and of features."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.metrics.base import Context, Measurement, Quantity, SampleSet
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.metrics.extractors.feature_cache import features
from bench.metrics.images_by_class import sampled
from bench.metrics.jackknife import combined_error, jackknife_variance, variances_without

BLOCK = 500  # images that are in memory as double precision at a time


@dataclass(frozen=True, kw_only=True)
class WithinClassVariance(GroupedMetric):
    r"""Variance within a class, averaged over its dimensions and then over the classes.

    .. math:: \frac1{KD} \sum_c \sum_d \frac1{n-1} \sum_i (x_{id} - \bar x_{cd})^2

    `within_class_variance/pixels` is that of pixels in `[0, 1]`, at most a little more than 1/4.
    `within_class_variance/features` is that of the domain classifier's last hidden layer, which has
    no bound; compare with the row of the real images. A model that ignores its noise input has 0 in
    both; one that draws noise has too much in the first.

    Attributes:
        extractor_seed: Seed of the domain classifier.
    """

    name = "within_class_variance"
    quantities = {"within_class_variance": Quantity("Variance within a class", "real", 4)}

    extractor_seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the variance of the pixels, then that of the features, with standard errors."""
        context.require_images()
        extractor = domain_classifier(context, self.extractor_seed).extractor
        count = samples.per_class
        each = f"per_class={count}" if samples.is_balanced else f"n={len(samples.y)},average=macro"
        protocols = {
            f"{self.name}/pixels": f"variance[pixels in 0..1,{each}]",
            f"{self.name}/features": f"variance[features,extractor={extractor.name},{each}]",
        }
        if count < 2:
            reason = "one image a class has no variance"
            return [Measurement(name, how, None, reason) for name, how in protocols.items()]
        images = sampled(samples)
        seen = features(context, extractor, images, is_real=False).to(context.device)
        of_pixels = [samples.x[samples.y == k].to(context.device) for k in samples.labels]
        of_features = [seen[members].double() for members in images.members]
        squares = [[_squares(x) / 255**2 for x in of_pixels], [_squares(x) for x in of_features]]
        return [
            Measurement(name, how, _variance(of_classes), error=_error(of_classes))
            for (name, how), of_classes in zip(protocols.items(), squares, strict=True)
        ]


def _squares(x: Tensor) -> Tensor:
    """Return the mean square of how far each image is from the mean of all, sorted, `[N]`."""
    blocks = torch.split(x.flatten(1), BLOCK)
    mean = torch.stack([b.sum(dim=0, dtype=torch.float64) for b in blocks]).sum(dim=0) / len(x)
    far = torch.cat([(block - mean).square().mean(dim=1) for block in blocks])
    return far.sort().values  # in any order of the images the same bits


def _variance(squares: Sequence[Tensor]) -> float:
    """Return the unbiased variance over images, averaged over the classes."""
    return sum((far.sum() / (len(far) - 1)).item() for far in squares) / len(squares)


def _error(squares: Sequence[Tensor]) -> float | None:
    """Return the standard error over images; None for fewer than three of a class."""
    if min(map(len, squares)) < 3:
        return None
    return combined_error([jackknife_variance(variances_without(far)) for far in squares])
