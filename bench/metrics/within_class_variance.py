"""How much images of a class vary: plain variances, of pixels and of features."""

from typing import ClassVar

import torch
from torch import Tensor

from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.comparison import balanced
from bench.metrics.extractors.domain import domain_classifier
from bench.metrics.extractors.feature_cache import features

_BLOCK = 500  # images that are held as integers at a time


class WithinClassVariance(Metric):
    r"""Variance within a class, averaged over its dimensions and then over the classes.

    .. math:: \frac1{KD} \sum_c \sum_d \frac1{n-1} \sum_i (x_{id} - \bar x_{cd})^2

    `within_class_variance/pixels` is that of pixels in `[0, 1]`, at most a little more than 1/4.
    `within_class_variance/features` is that of the domain classifier's last hidden layer, in whose
    unit there is no ceiling; what counts is how far it is from that of the real images. Pixels vary
    with noise and with position alike; features tell what the classifier finds worth telling
    apart. A model that ignores its noise has 0 in both, and one that draws noise too much in the
    first.

    Args:
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "within_class_variance"
    direction: ClassVar[Direction] = "real"

    def __init__(self, *, extractor_seed: int = 0) -> None:
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the two figures.

        Args:
            samples: Generated or real images.
            context: The data, the device and the caches.

        Returns:
            The variance of the pixels, and that of the features.

        Raises:
            NotApplicable: If the data are no images.
        """
        if not samples.spec.is_image:
            raise NotApplicable(f"{samples.spec.name} are no images")
        judge = domain_classifier(context, self.extractor_seed).penultimate
        count, classes = samples.per_class, range(samples.spec.classes)
        names = [f"{self.name}/{part}" for part in ("pixels", "features")]
        protocols = [
            f"variance[pixels in 0..1,per_class={count}]",
            f"variance[features,extractor={judge.name},per_class={count}]",
        ]
        if count < 2:
            reason = "one image a class has no variance"
            pairs = zip(names, protocols, strict=True)
            return [Measurement(name, protocol, None, reason) for name, protocol in pairs]
        side = balanced(samples.x, samples.y, samples.spec.classes)
        found = features(context, judge, side.x, side.rows, is_real=False)
        values = (
            [pixel_variance(samples.x[samples.y == label]) for label in classes],
            [found.select(side.of_class(k)).all().var(dim=0).mean().item() for k in classes],
        )
        return [
            Measurement(name, protocol, sum(parts) / len(parts))
            for name, protocol, parts in zip(names, protocols, values, strict=True)
        ]


def pixel_variance(images: Tensor) -> float:
    """Return the mean over the pixels of their variance over images, in units of 255 squared.

    Sums are whole numbers, so no order of the images changes a bit.

    Args:
        images: `uint8` `[N, C, H, W]`, at least two.

    Returns:
        The unbiased variance of pixels in `[0, 1]`; at most `N / (4 (N - 1))`.

    Example:
        >>> images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
        >>> pixel_variance(images)  # two values 1/2 from their mean, divided by 2 - 1
        0.5
    """
    n = len(images)
    total = torch.zeros(images.shape[1:], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for block in torch.split(images, _BLOCK):
        total += block.long().sum(dim=0)
        squares += block.long().square().sum(dim=0)
    variance = (n * squares - total.square()).double() / (n * (n - 1) * 255**2)
    return variance.mean().item()
