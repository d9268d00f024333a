"""Density and coverage: precision and recall that outliers among the images do not inflate."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.base import Direction
from bench.metrics.comparison import Against
from bench.metrics.extractors.choice import ExtractorChoice
from bench.metrics.precision_recall import NeighborMetric

_BLOCK = 2**21  # distances that are in memory at a time


class DensityCoverage(NeighborMetric):
    r"""Density and coverage (Naeem et al. 2020, section 3).

    .. math:: \text{density} = \frac1{kN} \sum_j \sum_i 1[y_j \in B_i], \qquad
              \text{coverage} = \frac1M \sum_i 1[\exists j: y_j \in B_i]

    with samples `y`, and the ball `B` of each of the `M` real images that reaches to its `k`-th
    nearest real image, boundary included. `density` is about 1 for equal distributions and more
    where samples crowd in the midst of real ones; `coverage` is in `[0, 1]`, and less than 1 even
    for equal distributions. A density above that of the real images is no merit.

    Args:
        k: Which neighbor's distance is the radius of a ball.
        most: Images of each side that are compared at most.
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images; see `FeatureMetric`.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "density_coverage"
    direction: ClassVar[Direction] = "higher"
    figures: ClassVar[tuple[str, str]] = ("density", "coverage")

    def __init__(
        self,
        *,
        k: int = 5,
        most: int = 10_000,
        extractor: ExtractorChoice = "domain",
        against: Against = "train",
        extractor_seed: int = 0,
    ) -> None:
        super().__init__(
            k=k, most=most, extractor=extractor, against=against, extractor_seed=extractor_seed
        )

    def values(self, made: Tensor, real: Tensor) -> tuple[float, float]:
        """Return density and coverage."""
        return density_coverage(made, real, self.k)


def density_coverage(made: Tensor, real: Tensor, k: int = 5) -> tuple[float, float]:
    """Return density and coverage, from all distances, some rows at a time.

    Args:
        made: Features of samples `[N, D]`.
        real: Features of real images `[M, D]`, more than `k` rows.
        k: Which neighbor's distance is the radius of a ball.

    Returns:
        Density, at least 0, and coverage, in `[0, 1]`.

    Raises:
        BenchError: If features are not finite, or the real images have no `k`-th neighbor.

    Example:
        >>> line = torch.arange(8.0)[:, None]
        >>> density_coverage(line[:4], line, k=1)  # balls of 0 to 4 hold 2, 3, 3, 2 and 1 of them
        (2.75, 0.625)
    """
    if not bool(torch.isfinite(made).all() and torch.isfinite(real).all()):
        raise BenchError("density and coverage need finite features")
    if len(real) <= k:
        raise BenchError(f"{len(real)} real images have no neighbor number {k}")
    # The nearest of all is the image itself, at a distance of exactly 0.
    radii = torch.cat([block.kthvalue(k + 1, dim=1).values for block in _distances(real, real)])
    inside = torch.zeros((), dtype=torch.int64)
    covered = torch.zeros(len(real), dtype=torch.bool)
    for block in _distances(made, real):
        within = block <= radii
        inside += within.sum()
        covered |= within.any(dim=0)
    return inside.item() / (k * len(made)), covered.double().mean().item()


def _distances(first: Tensor, second: Tensor) -> Iterator[Tensor]:
    """Yield rows of the distance matrix; the fast way, by inner products, is inexact."""
    for rows in torch.split(first, max(1, _BLOCK // len(second))):
        yield torch.cdist(rows, second, compute_mode="donot_use_mm_for_euclid_dist")
