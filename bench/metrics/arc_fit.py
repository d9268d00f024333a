"""How well generated points cover the arcs of the toy example."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from bench.data.moons import CENTERS
from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet

RADIUS = 0.1
"""A real point counts as covered if a sample of its class is nearer than this."""

MOST = 5000
"""Of more points a class, so many evenly spaced rows are taken: the work grows as the square."""

_BLOCK = 2**21  # distances that are in memory at a time


class ArcFit(Metric):
    """Three figures for the claim that samples of a cVAE-GAN are too conservative (section 4.1).

    `arc_spread`: standard deviation of the distance to the center of the arc, of the samples over
    that of the real test points; 1 is right, less is too thin. `arc_coverage`: percentage of the
    real test points with a sample of their class within 0.1; it grows with the number of samples.
    `arc_distance`: energy distance between samples and real test points, 0 for equal
    distributions. Each is computed within the classes and averaged over them.
    """

    name: ClassVar[str] = "arc_fit"
    direction: ClassVar[Direction] = "real"

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the three figures.

        Args:
            samples: Generated or real points.
            context: The real test points; nothing else is used.

        Returns:
            `arc_spread`, `arc_coverage` in percent, and `arc_distance`.

        Raises:
            NotApplicable: For any other data set.
        """
        spec, test = context.data.spec, context.data.test
        if spec.name != "moons":
            raise NotApplicable(f"{spec.name} has no arcs")
        names = ("arc_spread", "arc_coverage", "arc_distance")
        made, real = samples.per_class, int(torch.bincount(test.y).min())
        protocol = f"arcs[radius={RADIUS},per_class={min(made, MOST)},real={min(real, MOST)}]"
        if min(made, real) < 2:
            reason = "one point a class has no spread"
            return [Measurement(name, protocol, None, reason) for name in names]
        figures = []
        for label, center in enumerate(CENTERS):
            points, others = (_some(part.x[part.y == label]) for part in (samples, test))
            figures.append(torch.stack(_fit(points, others, torch.tensor(center).double())))
        means = torch.stack(figures).mean(dim=0).tolist()
        return [Measurement(name, protocol, mean) for name, mean in zip(names, means, strict=True)]


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Energy distance of two samples.

    .. math:: \sqrt{2\,\mathbb E\lVert X - Y \rVert - \mathbb E\lVert X - X' \rVert
              - \mathbb E\lVert Y - Y' \rVert}

    Székely & Rizzo (2013), equation 5, with means over all pairs, those of a point with itself
    included: so it is never negative, and of the order of `1 / sqrt(N)` for equal distributions.

    Args:
        first: Points `[N, D]`; `float64`, since small differences of large means are taken.
        second: Points `[M, D]`.

    Returns:
        The distance, 0-d; 0 for the same points.

    Example:
        >>> energy_distance(torch.zeros(3, 1), torch.full((2, 1), 2.0)).item()
        2.0
    """
    between = 2 * _mean_distance(first, second)
    within = _mean_distance(first, first) + _mean_distance(second, second)
    return (between - within).clamp_min(0).sqrt()


def _fit(made: Tensor, real: Tensor, center: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    radii = [(points - center).norm(dim=1) for points in (made, real)]
    nearest = torch.cat([block.amin(dim=1) for block in _distances(real, made)])
    coverage = 100 * (nearest < RADIUS).double().mean()
    return radii[0].std() / radii[1].std(), coverage, energy_distance(made, real)


def _mean_distance(first: Tensor, second: Tensor) -> Tensor:
    total = torch.stack([block.sum() for block in _distances(first, second)]).sum()
    return total / (len(first) * len(second))


def _distances(first: Tensor, second: Tensor) -> Iterator[Tensor]:
    """Yield the rows of the distance matrix, some at a time."""
    for rows in torch.split(first, max(1, _BLOCK // len(second))):
        # The fast way, by inner products, gives 1e-8 for the distance of a point to itself.
        yield torch.cdist(rows, second, compute_mode="donot_use_mm_for_euclid_dist")


def _some(points: Tensor) -> Tensor:
    """Return at most `MOST` of the points, evenly spaced, as the real ones follow the arc."""
    rows = torch.linspace(0, len(points) - 1, min(len(points), MOST), dtype=torch.float64)
    return points[rows.round().long()].double()
