"""The base of metrics that ask whether images lie within the nearest neighbors of others."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from bench.metrics.base import AtLeastOne, Context, Measurement, SampleSet, unmeasured
from bench.metrics.features.feature_metric import FeatureMetric
from bench.metrics.jackknife import mean_error


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
        error = None
        if parts is not None:
            error = mean_error([parts[members] for members in equal.samples.members])
        measured = zip(self.quantities, values, (error, None), strict=True)
        return [Measurement(name, protocol, value, error=error) for name, value, error in measured]

    @staticmethod
    @abstractmethod
    def values(samples: Tensor, real: Tensor, k: int) -> tuple[tuple[float, float], Tensor | None]:
        """Return both quantities of `float64` features `[N, D]` of samples and of real images.

        Features are finite, and there are more than `k` of each set. Where it is known, also return
        what each sample adds: `[N]`, of which the first one is the mean.
        """
