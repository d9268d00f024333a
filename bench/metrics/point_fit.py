"""Fit of generated points to real ones: in any number of dimensions, and to the arcs of the toy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import torch
from torch import Tensor

from bench.data.moons import CENTERS
from bench.errors import NotApplicable
from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet, unmeasured
from bench.metrics.features.distances import distances, radii
from bench.metrics.jackknife import (
    combined_error,
    jackknife_variance,
    mean_variance,
    variances_without,
)

NEAR = 2.0
"""Radius within which a point is covered, in mean distances of real points from the nearest."""

MOST = 5000
"""Points of each class that are compared at most, evenly spaced: the work grows as the square."""


RADIUS = 0.1
"""A real point counts as covered if a sample of its class is nearer than this."""


@dataclass(frozen=True)
class PointFit(Metric):
    """Three numbers for any data set of points, each computed within the classes and averaged.

    `point_coverage` is the percentage of the real test points with a sample of their class nearby;
    it grows with the number of samples. `point_precision` is the percentage of the samples with a
    real test point of their class nearby, so it tells stray samples. Nearby is within twice the
    mean distance of the real test points of the class from the nearest other one. `point_distance`
    is the energy distance between samples and real test points, in the unit of the data, 0 for
    equal distributions.
    """

    name = "point_fit"
    quantities = {
        "point_coverage": Quantity("Point coverage (%)", "real", 1),
        "point_precision": Quantity("Samples near real points (%)", "real", 1),
        "point_distance": Quantity("Energy distance", "lower", 4),
    }

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure all three; not applicable to images."""
        spec, test = context.data.spec, context.data.test
        if spec.is_image:
            raise NotApplicable(f"{spec.name} are not points")
        sizes = sizes_of(samples, context)
        protocol = f"points[radius={NEAR:g} spacings,per_class={sizes[0]},real={sizes[1]}]"
        names = self.quantities
        if min(sizes) < 2:
            return unmeasured(names, protocol, "one point a class has no neighbor")
        by_class, variances = [], []
        for label in samples.labels:
            points, real = (thinned(part.x[part.y == label]) for part in (samples, test))
            radius = NEAR * _spacing(real)
            coverage, coverage_without = covered(points, real, radius)
            is_near = torch.cat([(block < radius).any(dim=1) for block in distances(points, real)])
            precision = 100 * is_near.double()
            by_class.append(
                torch.stack((coverage, precision.mean(), energy_distance(points, real)))
            )
            variances.append((jackknife_variance(coverage_without), mean_variance(precision)))
        return _averaged(names, protocol, by_class, variances)


@dataclass(frozen=True)
class ArcFit(Metric):
    """Three numbers for the claim that samples of a cVAE-GAN are too conservative (section 4.1).

    `arc_spread` is the standard deviation of the distance to the center of the arc, of the samples
    over that of the real test points; 1 is right, less is too thin. `arc_coverage` is the
    percentage of the real test points with a sample of their class within 0.1; it grows with the
    number of samples. `arc_distance` is the energy distance between samples and real test points, 0
    for equal distributions. Each is computed within the classes and averaged over them.
    """

    name = "arc_fit"
    quantities = {
        "arc_spread": Quantity("Arc spread", "real", 3),
        "arc_coverage": Quantity("Arc coverage (%)", "real", 1),
        "arc_distance": Quantity("Arc energy distance", "lower", 4),
    }

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure all three; not applicable to any other data set."""
        spec, test = context.data.spec, context.data.test
        if spec.name != "moons":
            raise NotApplicable(f"{spec.name} has no arcs")
        sizes = sizes_of(samples, context)
        protocol = f"arcs[radius={RADIUS},per_class={sizes[0]},real={sizes[1]}]"
        names = self.quantities
        if min(sizes) < 2:
            return unmeasured(names, protocol, "one point a class has no spread")
        by_class, variances = [], []
        for label in samples.labels:
            points, real = (thinned(part.x[part.y == label]) for part in (samples, test))
            radii = [
                (side - torch.tensor(CENTERS[label]).double()).norm(dim=1)
                for side in (points, real)
            ]
            coverage, coverage_without = covered(points, real, RADIUS)
            values = radii[0].std() / radii[1].std(), coverage, energy_distance(points, real)
            by_class.append(torch.stack(values))
            if len(points) > 2:
                squares = (radii[0] - radii[0].mean()).square()
                spread_without = variances_without(squares).sqrt() / radii[1].std()
                variances.append(map(jackknife_variance, (spread_without, coverage_without)))
        return _averaged(names, protocol, by_class, variances)


def _averaged(
    names: Iterable[str],
    protocol: str,
    by_class: Sequence[Tensor],
    variances: Iterable[Iterable[float]],
) -> list[Measurement]:
    """Return the means over the classes; the first ones have errors, by as many variances."""
    means = torch.stack([*by_class]).mean(dim=0).tolist()
    errors = chain(map(combined_error, zip(*variances, strict=True)), repeat(None))
    measured = zip(names, means, errors, strict=False)
    return [Measurement(name, protocol, mean, error=error) for name, mean, error in measured]


def sizes_of(samples: SampleSet, context: Context) -> tuple[int, int]:
    """Return how many samples and real test points of each class are compared."""
    real = int(torch.bincount(context.data.test.y).min())
    return min(samples.per_class, MOST), min(real, MOST)


def thinned(points: Tensor) -> Tensor:
    """Return at most `MOST` of the points, evenly spaced, since real points may be in order."""
    indices = torch.linspace(0, len(points) - 1, min(len(points), MOST), dtype=torch.float64)
    return points[indices.round().long()].double()


def covered(points: Tensor, real: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Return which percentage of real points is covered, and that without each of the points."""
    count_all, lost = (
        torch.zeros((), dtype=torch.int64),
        torch.zeros(len(points), dtype=torch.int64),
    )
    for block in distances(real, points):
        near = block < radius
        count = near.sum(dim=1)
        count_all += (count > 0).sum()
        lost += near[count == 1].sum(dim=0)
    return 100 * count_all.double() / len(real), 100 * (count_all - lost).double() / len(real)


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Return the energy distance (0-d) of points `[N, D]` and `[M, D]`, best in `float64`.

    .. math:: \sqrt{2\,\mathbb E\lVert X - Y \rVert - \mathbb E\lVert X - X' \rVert
              - \mathbb E\lVert Y - Y' \rVert}

    Székely & Rizzo (2013), equation 5, with means over all pairs, including each point with itself:
    so it is never negative, and of the order of `1 / sqrt(N)` for equal distributions.

    >>> energy_distance(torch.zeros(3, 1), torch.full((2, 1), 2.0)).item()
    2.0
    """
    between = 2 * _mean_distance(first, second)
    within = _mean_distance(first, first) + _mean_distance(second, second)
    return (between - within).clamp_min(0).sqrt()


def _mean_distance(first: Tensor, second: Tensor) -> Tensor:
    total = torch.stack([block.sum() for block in distances(first, second)]).sum()
    return total / (len(first) * len(second))


def _spacing(points: Tensor) -> float:
    """Return the mean distance of points from the nearest other one."""
    return radii(points, 1).sort().values.mean().item()
