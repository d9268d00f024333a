"""Improved precision and recall: whether samples look real, and whether all that is real occurs."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.base import AtLeastOne, Context, Measurement, Quantity, SampleSet, unmeasured
from bench.metrics.features.feature_metric import FeatureMetric
from bench.metrics.images_by_class import ImageSet
from bench.metrics.jackknife import combined_error, mean_variance

EXACT_BLOCK = 25
"""Points that torch-fidelity compares at a time. For more, `torch.cdist` takes inner products, by
which equal points have a small distance, larger than the radius 0 of images that have copies.
Constant images then had precision 0 against themselves."""


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


def precision_recall(samples: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Return improved precision and recall of features `[N, D]` and `[M, D]`, in `[0, 1]`.

    Both sets have more than `k` images. A `BenchError` says if features are not finite, which would
    count as outside of every ball.

    >>> line = torch.arange(8.0)[:, None]
    >>> precision_recall(line[:4], line, k=1)  # balls of radius 1: 0 to 4 are reached
    (1.0, 0.625)
    """
    from torch_fidelity.metric_prc import prc_features_to_metric

    if not bool(torch.isfinite(samples).all() and torch.isfinite(real).all()):
        raise BenchError("precision and recall need finite features")
    shares = prc_features_to_metric(  # samples come first, which its names do not say
        samples,
        real,
        prc_neighborhood=k,
        prc_batch_size=EXACT_BLOCK,
        save_cpu_ram=True,  # without it there are no blocks, and all distances are in memory
        verbose=False,
    )
    # Its means are float32; the exact values are whole numbers of images divided by all.
    precision = round(shares["precision"] * len(samples)) / len(samples)
    return precision, round(shares["recall"] * len(real)) / len(real)


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall(NeighborMetric):
    """Improved precision and recall (Kynkäänniemi et al. 2019), computed by torch-fidelity.

    `precision` is the share of the samples that lie in the ball of a real image, whose radius is
    the distance to its `k`-th nearest real image. `recall` is the share of the real images that lie
    in the ball of a sample. Both are in `[0, 1]`, and 1 for equal sets. Outliers make balls that
    are too large, which `density_coverage` mends. The paper takes features of VGG-16, so its
    numbers cannot be compared with these. The options are those of `NeighborMetric`.
    """

    name = "precision_recall"
    quantities = {
        "precision": Quantity("Precision", "higher", 3),
        "recall": Quantity("Recall", "higher", 3),
    }

    k: AtLeastOne = 3

    @staticmethod
    def values(samples: Tensor, real: Tensor, k: int) -> tuple[tuple[float, float], None]:
        """Return precision and recall."""
        return precision_recall(samples, real, k), None
