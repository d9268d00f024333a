r"""The toy set of the paper: three noisy half circles in the plane.

.. math:: x = (\cos t + a_k, \; \sin t - 0.5) + 0.15 \, \varepsilon, \qquad
          a = (0, 2.2, -2.2), \quad t \in [0, \pi]

Zheng & Sun (2019), section 4.1 and appendix B.1, with `t` equally spaced; the shift by 0.5 and
the noise are those of the authors' code. All arcs open downwards, so they do not interleave.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.data.made_points import MadePoints
from bench.spec.run_settings import AtLeastOne, NonNegative

CENTERS = ((0.0, -0.5), (2.2, -0.5), (-2.2, -0.5))
"""Center of the arc of each class; all radii are 1."""


@dataclass(kw_only=True)
class Moons(MadePoints):
    """Points `[N, 2]` of three classes; the test points are further draws.

    `split_seed` is the seed of the noise too. The other options are those of `SplitOptions` and
    `HeldOutTestOptions`.

    Attributes:
        per_class: Training points of each class, those for validation included. The paper has
            600 000.
        noise: Standard deviation of the isotropic Gaussian noise.
    """

    per_class: AtLeastOne = 10_000
    noise: NonNegative = 0.15

    @property
    def full_spec(self) -> DataSpec:
        """The shape: `(2,)`, three classes named by their place."""
        return DataSpec("moons", (2,), ("middle", "right", "left"))

    def without_noise(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Return equally spaced points of the arc of a class."""
        return arc(label, count)


def arc(label: int, points: int) -> Tensor:
    """Return equally spaced points of an arc from right to left, `float64` `[points, 2]`.

    >>> arc(1, 3).mul(10).round().long().tolist()
    [[32, -5], [22, 5], [12, -5]]
    """
    t = torch.linspace(0, math.pi, points, dtype=torch.float64)
    center = torch.tensor(CENTERS[label], dtype=torch.float64)
    return torch.stack((t.cos(), t.sin()), dim=1) + center
