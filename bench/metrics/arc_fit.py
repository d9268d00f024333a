"""Fit of generated points to the arcs of the toy data set."""

from dataclasses import dataclass

import torch

from bench.data.moons import CENTERS
from bench.errors import NotApplicable
from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet, unmeasured
from bench.metrics.jackknife import combined_error, jackknife_variance, variances_without
from bench.metrics.point_fit import covered, energy_distance, sizes_of, thinned

RADIUS = 0.1
"""A real point counts as covered if a sample of its class is nearer than this."""


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
        for label, center in enumerate(CENTERS):
            points, real = (thinned(part.x[part.y == label]) for part in (samples, test))
            radii = [(side - torch.tensor(center).double()).norm(dim=1) for side in (points, real)]
            coverage, coverage_without = covered(points, real, RADIUS)
            values = radii[0].std() / radii[1].std(), coverage, energy_distance(points, real)
            by_class.append(torch.stack(values))
            if len(points) > 2:
                squares = (radii[0] - radii[0].mean()).square()
                spread_without = variances_without(squares).sqrt() / radii[1].std()
                variances.append(map(jackknife_variance, (spread_without, coverage_without)))
        means = torch.stack(by_class).mean(dim=0).tolist()
        errors = [*map(combined_error, zip(*variances, strict=True)), None, None, None]
        measured = zip(names, means, errors, strict=False)
        return [Measurement(name, protocol, mean, error=error) for name, mean, error in measured]
