"""Memorization: whether samples are nearer to training images than new real images are."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from bench.metrics.base import AtLeastOne, Context, Measurement, Quantity, SampleSet, unmeasured
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.extractors.extractor_option import ExtractorOption, choose_feature_extractor
from bench.metrics.extractors.feature_cache import features
from bench.metrics.images_by_class import ImageSet, real_images, real_like, sampled
from bench.metrics.jackknife import combined_error, mean_variance

BLOCK = 2**23  # distances that are in memory at a time


class Neighbors(NamedTuple):
    """Samples with their nearest training images, and test images with theirs.

    Attributes:
        samples: The samples that are looked at.
        train: All training images.
        test: The test images that calibrate.
        distances: From each sample to the nearest training image, `float64` `[N]`.
        which: That training image, a place in `train`, `[N]`.
        of_test: From each test image to the nearest training image, `[M]`.
    """

    samples: ImageSet
    train: ImageSet
    test: ImageSet
    distances: Tensor
    which: Tensor
    of_test: Tensor

    def threshold(self, quantile: float) -> Tensor:
        """Return the distance that so large a share of the test images does not exceed."""
        return self.of_test.sort().values[int(quantile * len(self.of_test)) - 1]


@dataclass(frozen=True, kw_only=True)
class Memorization(GroupedMetric):
    r"""Share of the samples that are too near to a training image, calibrated on test images.

    .. math:: \frac1N \sum_i 1[d(x_i) \le \tau], \qquad d(x) = \min_t \lVert f(x) - f(t) \rVert

    over all training images `t`, with features `f`. The threshold is a quantile of the distances of
    the real test images from their nearest training images, so that a share of `quantile` (5 %) is
    expected of samples that are drawn honestly; the row of the real test images shows it. Far more
    is memorization; less means that samples are far from all real images.

    `memorization_shift` compares all distances, not only the smallest: the Mann-Whitney statistic
    of Meehan, Chaudhuri & Dasgupta (2020, section 3), their C_T with one cell,

    .. math:: Z = \frac{U - NM/2}{\sqrt{NM(N+M+1)/12}}, \qquad
              U = \sum_{i,j} 1[d(x_i) > d(y_j)] + \tfrac12 1[d(x_i) = d(y_j)]

    of `N` samples and `M` test images `y`. It is 0 for the test images, about standard normal for
    other honest samples, below -3 where samples are nearer to training images than new images are,
    and large where they are bad. It grows with the number of images: compare equal `N` and `M`.

    Images are near in the features of a network: copies with small changes are found, and so are
    images that only look alike to it. A mean of many images is near to all of them: look at the
    figure `nearest` before you call it a copy. The domain classifier was trained on the training
    images, which draws test images and samples away from them alike.

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
        context.require_images()
        extractor = choose_feature_extractor(context, self.extractor, self.extractor_seed)
        generated, train, test = self._chosen(samples, context)
        protocol = (
            f"memorization[extractor={extractor.name},n={len(generated)},"
            f"train={len(train)}@{train.name},test={len(test)}@{test.name},"
            f"quantile={self.quantile:g}]"
        )
        if int(self.quantile * len(test)) < 1:
            reason = f"{len(test)} test images are too few for a quantile of {self.quantile:g}"
            return unmeasured(self.quantities, protocol, reason)
        found = self.neighbors(samples, context)
        is_near = (found.distances <= found.threshold(self.quantile)).double()
        error = None
        if generated.per_class >= 2:
            shares = [count / len(generated) for count in generated.counts]
            variances = [mean_variance(is_near[members]) for members in generated.members]
            error = 100 * combined_error(variances, shares)
        share, shift = self.quantities
        return [
            Measurement(share, protocol, 100 * is_near.mean().item(), error=error),
            Measurement(shift, protocol, mann_whitney_z(found.distances, found.of_test)),
        ]

    def neighbors(self, samples: SampleSet, context: Context) -> Neighbors:
        """Find the nearest training image of each sample and of each test image."""
        extractor = choose_feature_extractor(context, self.extractor, self.extractor_seed)
        generated, train, test = self._chosen(samples, context)
        of_train = features(context, extractor, train, is_real=True)
        seen = features(context, extractor, generated, is_real=False)
        distances, which = nearest_points(seen, of_train, context.device)

        def calibrate() -> Tensor:
            of_test = features(context, extractor, test, is_real=True)
            return nearest_points(of_test, of_train, context.device)[0]

        key = f"neighbors {extractor.name} {train.name} {test.name}"
        return Neighbors(generated, train, test, distances, which, context.remember(key, calibrate))

    def _chosen(self, samples: SampleSet, context: Context) -> tuple[ImageSet, ImageSet, ImageSet]:
        """Return samples, all training images, and the test images of the samples' classes."""
        train = real_images(context, "train", range(context.data.spec.classes), equal=False)
        test = real_like(samples, context, "test")
        return sampled(samples).some(self.most), train, test.some(self.most)


def nearest_points(points: Tensor, real: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the distance of each point `[N, D]` from the nearest of `real` `[M, D]`, and which.

    Inner products find it, and its distance is that of the difference: copies have exactly 0.

    >>> points, real = torch.tensor([[1.0], [9.0]]), torch.tensor([[0.0], [9.0]])
    >>> nearest_points(points, real, torch.device("cpu"))
    (tensor([1., 0.], dtype=torch.float64), tensor([0, 1]))
    """
    real = real.double().to(device)
    squares = real.square().sum(dim=1)
    distances, which = [], []
    for part in torch.split(points, max(1, BLOCK // len(real))):
        block = part.double().to(device)
        places = torch.addmm(squares, block, real.T, alpha=-2).argmin(dim=1)
        distances.append((block - real[places]).norm(dim=1).cpu())
        which.append(places.cpu())
    return torch.cat(distances), torch.cat(which)


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
