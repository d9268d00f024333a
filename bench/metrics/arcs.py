"""How well generated points cover the arcs of the toy example."""

from typing import ClassVar

import torch
from torch import Tensor

from bench.data.moons import CENTERS
from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet

RADIUS = 0.1
"""A real point counts as covered if a sample of its class is nearer than this."""


class ArcFit(Metric):
    """Three figures for the claim that samples of a cVAE-GAN are too conservative (section 4.1).

    `arc_spread`: standard deviation of the distance to the center of the arc, of the samples over
    that of the real test points; 1 is right, less is too thin. `arc_coverage`: percentage of the
    real test points with a sample of their class within 0.1. `arc_distance`: energy distance
    between samples and real test points (Székely & Rizzo 2013), 0 for equal distributions. Each
    is computed within the classes and averaged over them.
    """

    name: ClassVar[str] = "arc_fit"
    direction: ClassVar[Direction] = "real"

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the three figures; raises `NotApplicable` for any other data set."""
        spec, test = context.data.spec, context.data.test
        if spec.name != "moons":
            raise NotApplicable(f"{spec.name} has no arcs")
        spreads, coverages, distances = [], [], []
        for label, center in enumerate(CENTERS):
            made, real = samples.x[samples.y == label].double(), test.x[test.y == label].double()
            origin = torch.tensor(center, dtype=torch.float64)
            radii = [(points - origin).norm(dim=1) for points in (made, real)]
            spreads.append(radii[0].std() / radii[1].std())
            nearest = torch.cdist(real, made).amin(dim=1)
            coverages.append(100 * (nearest < RADIUS).double().mean())
            distances.append(energy_distance(made, real))
        protocol = f"arcs[n={len(samples.y)},real={len(test)}]"
        return [
            Measurement("arc_spread", protocol, float(torch.stack(spreads).mean())),
            Measurement("arc_coverage", protocol, float(torch.stack(coverages).mean())),
            Measurement("arc_distance", protocol, float(torch.stack(distances).mean())),
        ]


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Energy distance of two samples.

    .. math:: \sqrt{2\,\mathbb E\lVert X - Y \rVert - \mathbb E\lVert X - X' \rVert
              - \mathbb E\lVert Y - Y' \rVert}

    Székely & Rizzo (2013), equation 5, with means over all pairs.

    Args:
        first: Points `[N, D]`.
        second: Points `[M, D]`.

    Returns:
        The distance, 0-d; 0 for the same points.

    Example:
        >>> energy_distance(torch.zeros(3, 1), torch.full((2, 1), 2.0)).item()
        2.0
    """
    between = 2 * torch.cdist(first, second).mean()
    within = torch.cdist(first, first).mean() + torch.cdist(second, second).mean()
    return (between - within).clamp_min(0).sqrt()
