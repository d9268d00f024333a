"""Density and coverage: precision and recall that outliers among the images do not inflate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.metrics.base import AtLeastOne, Quantity
from bench.metrics.features.distances import distances, radii
from bench.metrics.features.neighbors import NeighborMetric


def _balls(samples: Tensor, real: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return how many balls of real images hold each sample, `[N]`, and which hold any, `[M]`."""
    reach = radii(real, k)
    counts = []
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for block in distances(samples, real):
        within = block <= reach
        counts.append(within.sum(dim=1))
        covered |= within.any(dim=0)
    return torch.cat(counts), covered


@dataclass(frozen=True, kw_only=True)
class DensityCoverage(NeighborMetric):
    r"""Density and coverage (Naeem et al. 2020, section 3).

    .. math:: \text{density} = \frac1{kN} \sum_j \sum_i 1[y_j \in B_i], \qquad
              \text{coverage} = \frac1M \sum_i 1[\exists j: y_j \in B_i]

    with samples `y`, and the ball `B` of each of the `M` real images that reaches to its `k`-th
    nearest real image, boundary included. `density` is about 1 for equal distributions and more
    where samples crowd in the midst of real ones, so a density above that of the real images is no
    merit. `coverage` is in `[0, 1]`, and less than 1 even for equal distributions. The options are
    those of `NeighborMetric`.
    """

    name = "density_coverage"
    quantities = {
        "density": Quantity("Density", "real", 3),
        "coverage": Quantity("Coverage", "higher", 3),
    }

    k: AtLeastOne = 5

    @staticmethod
    def values(samples: Tensor, real: Tensor, k: int) -> tuple[tuple[float, float], Tensor]:
        """Return density and coverage, and what each sample adds to the density.

        >>> line = torch.arange(8.0)[:, None]
        >>> DensityCoverage.values(line[:4], line, k=1)[0]  # balls hold 2, 3, 3, 2 and 1 of them
        (2.75, 0.625)
        """
        counts, covered = _balls(samples, real, k)
        density = counts.sum().item() / (k * len(samples))
        return (density, covered.double().mean().item()), counts / k
