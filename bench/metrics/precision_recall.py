"""Improved precision and recall: whether samples look real, and whether all that is real occurs."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.base import Context, Direction, Measurement, SampleSet
from bench.metrics.comparison import Against, Comparison, FeatureMetric
from bench.metrics.extractors.choice import ExtractorChoice

EXACT_BLOCK = 25
"""Rows that torch-fidelity compares at a time: the most for which `torch.cdist` takes differences.

For more it takes inner products, which give a small number for the distance of equal rows: more
than the radius 0 that images with copies have. Constant images then had precision 0 against
themselves.
"""


class NeighborMetric(FeatureMetric):
    """A metric that asks whether images lie within the `k` nearest neighbors of others.

    Radii depend on the number of images, so equally many of both sides are compared, as in the
    papers, and the protocol tells how many. The work grows as their square.

    Args:
        k: Which neighbor's distance is the radius of a ball; the image itself is not counted.
        most: Images of each side that are compared at most, equally many of each class.
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images; see `FeatureMetric`.
        extractor_seed: Which domain classifier.

    Attributes:
        figures: Names of the two figures.
    """

    figures: ClassVar[tuple[str, str]]

    def __init__(
        self,
        *,
        k: int,
        most: int,
        extractor: ExtractorChoice,
        against: Against,
        extractor_seed: int,
    ) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        super().__init__(extractor=extractor, against=against, extractor_seed=extractor_seed)
        self.k = k
        self.most = most

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Choose the images, take their features, and return the two figures.

        Args:
            samples: Generated or real images.
            context: The data, the device, the caches and the file of the Inception weights.

        Returns:
            One figure for each of `figures`, with its reason where it has no value.

        Raises:
            NotApplicable: Where there is no network to judge.
        """
        whole = self.compare(samples, context)
        pair: Comparison = whole.equal(self.most)
        protocol = pair.protocol(self.name.replace("_", "-"), f"k={self.k}")
        reason = whole.reason
        if not reason and len(pair.made) <= self.k:
            reason = f"{len(pair.made)} images have no neighbor number {self.k}"
        if reason:
            return [Measurement(name, protocol, None, reason) for name in self.figures]
        made, real = pair.judged()
        values = self.values(made.all(), real.all())
        return [Measurement(n, protocol, v) for n, v in zip(self.figures, values, strict=True)]

    @abstractmethod
    def values(self, made: Tensor, real: Tensor) -> tuple[float, float]:
        """Return both figures of `float64` features `[N, D]` of samples and of real images."""


class PrecisionRecall(NeighborMetric):
    """Improved precision and recall (Kynkäänniemi et al. 2019), computed by torch-fidelity.

    `precision`: share of the samples that lie in the ball of a real image, whose radius is the
    distance to its third nearest real image. `recall`: share of the real images that lie in the
    ball of a sample. Both in `[0, 1]`, both 1 for equal sets. Outliers make balls that are too
    large, which `density_coverage` mends. The paper takes features of VGG-16, so no figure of ours
    may be set beside its own.

    Args:
        k: Which neighbor's distance is the radius of a ball.
        most: Images of each side that are compared at most.
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images; see `FeatureMetric`.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "precision_recall"
    direction: ClassVar[Direction] = "higher"
    figures: ClassVar[tuple[str, str]] = ("precision", "recall")

    def __init__(
        self,
        *,
        k: int = 3,
        most: int = 10_000,
        extractor: ExtractorChoice = "domain",
        against: Against = "train",
        extractor_seed: int = 0,
    ) -> None:
        super().__init__(
            k=k, most=most, extractor=extractor, against=against, extractor_seed=extractor_seed
        )

    def values(self, made: Tensor, real: Tensor) -> tuple[float, float]:
        """Return precision and recall."""
        return precision_recall(made, real, self.k)


def precision_recall(made: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Return improved precision and recall.

    Args:
        made: Features of samples `[N, D]`, more than `k` rows.
        real: Features of real images `[M, D]`, more than `k` rows.
        k: Which neighbor's distance is the radius of a ball.

    Returns:
        Precision and recall, in `[0, 1]`.

    Raises:
        BenchError: If features are not finite, which would be counted as outside of every ball.

    Example:
        >>> line = torch.arange(8.0)[:, None]
        >>> precision_recall(line[:4], line, k=1)  # balls of radius 1: 0 to 4 are reached
        (1.0, 0.625)
    """
    from torch_fidelity.metric_prc import prc_features_to_metric

    if not bool(torch.isfinite(made).all() and torch.isfinite(real).all()):
        raise BenchError("precision and recall need finite features")
    # The order decides which is which: samples first.
    found = prc_features_to_metric(
        made,
        real,
        prc_neighborhood=k,
        prc_batch_size=EXACT_BLOCK,
        save_cpu_ram=True,  # without it blocks are not used, and all distances are held at once
        verbose=False,
    )
    # It takes means in float32; the shares are of so many images.
    precision = round(found["precision"] * len(made)) / len(made)
    return precision, round(found["recall"] * len(real)) / len(real)
