"""Improved precision and recall: whether samples look real, and whether all that is real occurs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.metrics.base import AtLeastOne, Quantity
from bench.metrics.features.distances import distances, radii
from bench.metrics.features.neighbors import NeighborMetric


def precision_recall(samples: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Return improved precision and recall of features `[N, D]` and `[M, D]`, in `[0, 1]`.

    Both sets have more than `k` images, and finite features.

    >>> line = torch.arange(8.0)[:, None]
    >>> precision_recall(line[:4], line, k=1)  # balls of radius 1: 0 to 4 are reached
    (1.0, 0.625)
    """
    return _share_within(samples, real, k), _share_within(real, samples, k)


def _share_within(points: Tensor, others: Tensor, k: int) -> float:
    """Return the share of the points that lie in the ball of any of the others."""
    reach = radii(others, k)
    within = [(block <= reach).any(dim=1).sum() for block in distances(points, others)]
    return torch.stack(within).sum().item() / len(points)


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall(NeighborMetric):
    """Improved precision and recall (Kynkäänniemi et al. 2019), equal to torch-fidelity's.

    `precision` is the share of the samples that lie in the ball of a real image, whose radius is
    the distance to its `k`-th nearest real image. `recall` is the share of the real images that lie
    in the ball of a sample. Both are in `[0, 1]`, and 1 for equal sets. Outliers make balls that
    are too large, which `density_coverage` fixes. The paper takes features of VGG-16, so its
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
