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

BLOCK = 500  # images that are in memory as integers at a time


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
        values = (
            [pixel_variance(x) for x in of_pixels],
            [x.var(dim=0).mean().item() for x in of_features],
        )
        errors = _error(of_pixels, 255), _error(of_features, 1)
        return [
            Measurement(name, how, sum(variances) / len(variances), error=error)
            for (name, how), variances, error in zip(protocols.items(), values, errors, strict=True)
        ]


def _squares(x: Tensor, unit: float) -> Tensor:
    """Return the mean square of how far each image is from the mean of all, `[N]`."""
    flat = x.flatten(1)
    mean = torch.stack([b.sum(dim=0, dtype=torch.float64) for b in torch.split(flat, BLOCK)]).sum(
        dim=0
    )
    far = [(block - mean / len(x)).square().mean(dim=1) for block in torch.split(flat, BLOCK)]
    return torch.cat(far) / unit**2


def _error(classes: Sequence[Tensor], unit: float) -> float | None:
    """Return the standard error over images; None for fewer than three of a class."""
    if min(map(len, classes)) < 3:
        return None
    squares = (_squares(x, unit) for x in classes)
    return combined_error([jackknife_variance(variances_without(s)) for s in squares])


def pixel_variance(images: Tensor) -> float:
    """Return the unbiased variance over images of pixels in `[0, 1]`, averaged over the pixels.

    There are at least two images, `uint8` `[N, C, H, W]`. Sums are whole numbers, so their order
    does not matter. The result is at most `N / (4 (N - 1))`.

    >>> images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    >>> pixel_variance(images)  # two values 1/2 from their mean, divided by 2 - 1
    0.5
    """
    n = len(images)
    total = torch.zeros(images.shape[1:], dtype=torch.int64, device=images.device)
    squares = torch.zeros_like(total)
    for block in torch.split(images, BLOCK):
        total += block.long().sum(dim=0)
        squares += block.long().square().sum(dim=0)
    variance = (n * squares - total.square()).double() / (n * (n - 1) * 255**2)
    return variance.mean().item()
