"""Memorization: whether samples are nearer to training images than new real images are."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from bench.metrics.base import AtLeastOne, Context, Measurement, Quantity, SampleSet, unmeasured
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.extractors.base import FeatureExtractor
from bench.metrics.extractors.extractor_option import ExtractorOption, choose_feature_extractor
from bench.metrics.extractors.feature_cache import features
from bench.metrics.features.distances import nearest_points
from bench.metrics.images_by_class import ImageSet, real_images, real_like, sampled
from bench.metrics.jackknife import mean_error


@dataclass(frozen=True)
class TrainingNeighbors:
    """Samples and test images, and how near either are to training images.

    Attributes:
        context: The data, device and memory.
        extractor: The network that gives features.
        samples: The samples that are looked at.
        train: All training images.
        test: The test images that calibrate.
    """

    context: Context
    extractor: FeatureExtractor
    samples: ImageSet
    train: ImageSet
    test: ImageSet

    @cached_property
    def nearest(self) -> tuple[Tensor, Tensor]:
        """Distance of each sample from the nearest training image, and its place in `train`."""
        return self._from_train(self.samples, is_real=False)

    @property
    def of_test(self) -> Tensor:
        """Distance of each test image from the nearest training image, `float64` `[M]`."""
        key = f"neighbors {self.extractor.name} {self.train.name} {self.test.name}"
        return self.context.remember(key, lambda: self._from_train(self.test, is_real=True)[0])

    def threshold(self, quantile: float) -> Tensor:
        """Return the distance that so large a share of the test images does not exceed."""
        return self.of_test.sort().values[int(quantile * len(self.test)) - 1]

    def _from_train(self, images: ImageSet, *, is_real: bool) -> tuple[Tensor, Tensor]:
        """Return distances `float64` `[N]` and places `[N]`, on the CPU."""
        sides = (
            features(self.context, self.extractor, images, is_real=is_real),
            features(self.context, self.extractor, self.train, is_real=True),
        )
        distances, places = nearest_points(*(side.to(self.context.device) for side in sides))
        return distances.cpu(), places.cpu()


@dataclass(frozen=True, kw_only=True)
class Memorization(GroupedMetric):
    r"""Share of the samples that are too near to a training image, calibrated on test images.

    .. math:: \frac1N \sum_i 1[d(x_i) \le \tau], \qquad d(x) = \min_t \lVert f(x) - f(t) \rVert

    over all training images `t`, with features `f`. The threshold is a quantile of the distances of
    the real test images from their nearest training images, so that a share of `quantile` (5 %) is
    expected of new images of the same kind; the row of the real test images shows it. Far more is
    memorization; less means that samples are far from all real images.

    `memorization_shift` compares all distances, not only the smallest: the Mann-Whitney statistic
    of Meehan, Chaudhuri & Dasgupta (2020, section 3), their C_T with one cell,

    .. math:: Z = \frac{U - NM/2}{\sqrt{NM(N+M+1)/12}}, \qquad
              U = \sum_{i,j} 1[d(x_i) > d(y_j)] + \tfrac12 1[d(x_i) = d(y_j)]

    of `N` samples and `M` test images `y`. It is 0 for the test images, about standard normal for
    other new images, below -3 where samples are nearer to training images than new images are,
    and large where they are bad. It grows with the number of images: compare equal `N` and `M`.

    Images are near in the features of a network, which decides what is found. On 8x8 digits the
    domain classifier finds exact copies and slight noise, not blurred or dimmed copies: it was
    trained on the training images, and small changes of them move its features far. `pixels` finds
    noise and moderate blur, not dimmed or shifted copies. So measure by both, and take a low share
    as no proof. What only looks alike to the network is found, too, as is a mean of many images:
    look at the figure `nearest` before you call it a copy.

    Attributes:
        extractor: As in `FeatureMetric`.
        quantile: The share of the test images that are as near.
        most: Number of samples and of test images at most; their content decides which ones.
        extractor_seed: Seed of the domain classifier.
    """

    name = "memorization"
    quantities = {
        "memorization": Quantity("Memorized (%)", "real", 2),
        "memorization_shift": Quantity("Shift from training images (Z)", "real", 1),
    }
    needs_labels = False

    extractor: ExtractorOption = "domain"
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.05
    most: AtLeastOne = 10_000
    extractor_seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the share with its standard error over samples, then the shift."""
        found = self.neighbors(samples, context)
        seen, train, test = found.samples, found.train, found.test
        protocol = (
            f"memorization[extractor={found.extractor.name},n={len(seen)},"
            f"train={len(train)}@{train.name},test={len(test)}@{test.name},"
            f"quantile={self.quantile:g}]"
        )
        if int(self.quantile * len(test)) < 1:
            reason = f"{len(test)} test images are too few for a quantile of {self.quantile:g}"
            return unmeasured(self.quantities, protocol, reason)
        distances, _ = found.nearest
        is_near = (distances <= found.threshold(self.quantile)).double()
        error = mean_error([is_near[members] for members in seen.members])
        error = None if error is None else 100 * error
        share, shift = self.quantities
        return [
            Measurement(share, protocol, 100 * is_near.mean().item(), error=error),
            Measurement(shift, protocol, mann_whitney_z(distances, found.of_test)),
        ]

    def neighbors(self, samples: SampleSet, context: Context) -> TrainingNeighbors:
        """Choose the network and the images: all training images, tests of the samples' classes."""
        context.require_images()
        extractor = choose_feature_extractor(context, self.extractor, self.extractor_seed)
        seen = sampled(samples).some(self.most)
        train = real_images(context, "train", range(context.data.spec.classes), equal=False)
        test = real_like(samples, context, "test").some(self.most)
        return TrainingNeighbors(context, extractor, seen, train, test)


def mann_whitney_z(first: Tensor, second: Tensor) -> float:
    """Return by how many standard deviations values `[N]` are larger than others `[M]`, in ranks.

    Mann & Whitney (1947), by the normal approximation without a correction for ties.

    >>> mann_whitney_z(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    0.0
    """
    n, m = len(first), len(second)
    ordered = second.sort().values
    below = torch.searchsorted(ordered, first, side="left").sum().item()
    upto = torch.searchsorted(ordered, first, side="right").sum().item()
    return float(((below + upto) / 2 - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)
