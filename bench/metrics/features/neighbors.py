"""What metrics share that ask whether images lie within the nearest neighbors of others."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.metrics.base import AtLeastOne, Context, Measurement, SampleSet, unmeasured
from bench.metrics.features.feature_metric import FeatureMetric
from bench.metrics.images_by_class import ImageSet
from bench.metrics.jackknife import combined_error, mean_variance

BLOCK = 2**21  # distances that are in memory at a time


def distances(first: Tensor, second: Tensor) -> Iterator[Tensor]:
    """Yield the Euclidean distances `[B, M]` of points from `second`, a block of `first` at a time.

    By inner products, which are faster, equal points would have a distance of about 1e-8.
    """
    for block in torch.split(first, max(1, BLOCK // len(second))):
        yield torch.cdist(block, second, compute_mode="donot_use_mm_for_euclid_dist")


def radii(points: Tensor, k: int) -> Tensor:
    """Return the distance of each of more than `k` points from its `k`-th nearest other one."""
    # The nearest of all is the point itself, at a distance of exactly 0. Unlike `kthvalue`, `topk`
    # is deterministic on a GPU.
    blocks = distances(points, points)
    return torch.cat([block.topk(k + 1, dim=1, largest=False).values[:, k] for block in blocks])


@dataclass(frozen=True, kw_only=True)
class NeighborMetric(FeatureMetric):
    """A metric that asks whether images lie within the `k` nearest neighbors of others.

    Radii depend on the number of images, so equally many samples and real images are compared, as
    in the papers; the protocol gives the number. The work grows as its square.

    Attributes:
        k: A ball reaches to the `k`-th nearest neighbor, not counting the image itself.
        most: Number of samples and of real images at most, equally many of each class.
    """

    k: AtLeastOne
    most: int = 10_000

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure both quantities."""
        comparison = self.compare(samples, context)
        equal = comparison.equally_many(self.most)
        average = comparison.average("micro")
        protocol = equal.protocol(self.name.replace("_", "-"), f"k={self.k}", *average)
        reason = comparison.reason
        if not reason and len(equal.samples) <= self.k:
            reason = f"{len(equal.samples)} images have no neighbor number {self.k}"
        if reason:
            return unmeasured(self.quantities, protocol, reason)
        first, second = equal.features()
        values, parts = self.values(first.double(), second.double(), self.k)
        errors = [None if parts is None else _error(parts, equal.samples), None]
        measured = zip(self.quantities, values, errors, strict=True)
        return [Measurement(name, protocol, value, error=error) for name, value, error in measured]

    @staticmethod
    @abstractmethod
    def values(samples: Tensor, real: Tensor, k: int) -> tuple[tuple[float, float], Tensor | None]:
        """Return both quantities of `float64` features `[N, D]` of samples and of real images.

        Where it is known, also what each sample adds: `[N]`, of which the first one is the mean.
        """


def _error(parts: Tensor, samples: ImageSet) -> float | None:
    """Return the standard error over images of a mean over samples, drawn class by class."""
    if samples.per_class < 2:
        return None
    shares = [count / len(samples) for count in samples.counts]
    return combined_error([mean_variance(parts[members]) for members in samples.members], shares)
