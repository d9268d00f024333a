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

from bench.data.base import DataSet, DataSpec, Source, Split
from bench.data.splits import HeldOutTestOptions
from bench.errors import SpecError
from bench.seeding import generator_for

CENTERS = ((0.0, -0.5), (2.2, -0.5), (-2.2, -0.5))
"""Center of the arc of each class; all radii are 1."""


@dataclass(kw_only=True)
class Moons(HeldOutTestOptions, Source):
    """Points `[N, 2]` of three classes; the test points are further draws.

    `split_seed` is the seed of the noise too. The other options are those of `SplitOptions` and
    `HeldOutTestOptions`.

    Attributes:
        per_class: Training points of each class, those for validation included. The paper has
            600 000.
        noise: Standard deviation of the isotropic Gaussian noise.
    """

    per_class: int = 10_000
    noise: float = 0.15
    test_per_class: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_class < 1:
            raise SpecError(f"per_class must be at least 1, got {self.per_class}")
        if self.noise < 0:
            raise SpecError(f"noise must not be negative, got {self.noise}")

    @property
    def full_spec(self) -> DataSpec:
        """The shape: `(2,)`, three classes named by their place."""
        return DataSpec("moons", (2,), ("middle", "right", "left"))

    def load(self) -> DataSet:
        """Draw the points and split them."""
        train, test = self._draw(self.per_class, "train"), self._draw(self.test_per_class, "test")
        return self.divide(self.full_spec, train, test, flip=False)

    def _draw(self, per_class: int, purpose: str) -> Split:
        parts = []
        for label in range(len(CENTERS)):
            generator = generator_for(self.split_seed, "moons", purpose, label)
            # float64 until the end: the last bits of float32 differ between processors, and with
            # them the fingerprint would.
            noise = torch.randn(per_class, 2, generator=generator, dtype=torch.float64)
            parts.append((arc(label, per_class) + self.noise * noise).float())
        return Split(torch.cat(parts), torch.arange(len(CENTERS)).repeat_interleave(per_class))


def arc(label: int, points: int) -> Tensor:
    """Return equally spaced points of an arc from right to left, `float64` `[points, 2]`.

    >>> arc(1, 3).mul(10).round().long().tolist()
    [[32, -5], [22, 5], [12, -5]]
    """
    t = torch.linspace(0, math.pi, points, dtype=torch.float64)
    center = torch.tensor(CENTERS[label], dtype=torch.float64)
    return torch.stack((t.cos(), t.sin()), dim=1) + center
