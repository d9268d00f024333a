r"""The toy set of the paper: three noisy half circles in the plane.

.. math:: x = (\cos t + a_k, \; \sin t - 0.5) + 0.15 \, \varepsilon, \qquad
          a = (0, 2.2, -2.2), \quad t \in [0, \pi]

Zheng & Sun (2019), section 4.1 and appendix B.1, with `t` equally spaced; the shift by 0.5 and
the noise are those of the authors' code. All arcs open downwards, so they do not interleave.
"""

import math

import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec, Source, Split
from bench.data.splits import SplitOptions
from bench.errors import SpecError
from bench.seeding import generator_for

CENTERS = ((0.0, -0.5), (2.2, -0.5), (-2.2, -0.5))
"""Center of the arc of each class; all radii are 1."""


class Moons(Source):
    """Points `[N, 2]` of three classes.

    Test points are drawn independently, so a test split can be of any size; validation points are
    held out of the training points. Another `split_seed` is another sample of the same
    distribution.

    Args:
        per_class: Training points a class, those for validation included. The paper has 600 000.
        noise: Standard deviation of the isotropic Gaussian noise.
        split_seed: Seed of the noise and of what is held out.
        validation_fraction: Share of the training points held out for validation.
        test_per_class: Test points a class.

    Raises:
        SpecError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        per_class: int = 10_000,
        noise: float = 0.15,
        split_seed: int = 0,
        validation_fraction: float = 0.1,
        test_per_class: int = 1000,
    ) -> None:
        if per_class < 1:
            raise SpecError(f"per_class must be at least 1, got {per_class}")
        if noise < 0:
            raise SpecError(f"noise must not be negative, got {noise}")
        self._per_class, self._noise = per_class, noise
        self._splits = SplitOptions(split_seed, validation_fraction, test_per_class)

    @property
    def spec(self) -> DataSpec:
        """The shape: `(2,)`, three classes named by their place."""
        return DataSpec("moons", (2,), ("middle", "right", "left"))

    def load(self) -> DataSet:
        """Draw the points and split them."""
        seed, tests = self._splits.split_seed, self._splits.test_per_class
        train = _draw(self._per_class, self._noise, seed, "train")
        test = _draw(tests, self._noise, seed, "test")
        return self._splits.divide(self.spec, train, test, flip=False)


def arc(label: int, points: int) -> Tensor:
    """Return equally spaced points `[points, 2]` of the arc of a class, without noise.

    They are `float64`, from the right end to the left one, both included.

    >>> arc(1, 3).mul(10).round().long().tolist()
    [[32, -5], [22, 5], [12, -5]]
    """
    t = torch.linspace(0, math.pi, points, dtype=torch.float64)
    center = torch.tensor(CENTERS[label], dtype=torch.float64)
    return torch.stack((t.cos(), t.sin()), dim=1) + center


def _draw(per_class: int, noise: float, seed: int, purpose: str) -> Split:
    parts = []
    for label in range(len(CENTERS)):
        generator = generator_for(seed, "moons", purpose, label)
        # float64 until the end: the last bits of float32 differ between processors, and with
        # them the fingerprint would.
        noises = torch.randn(per_class, 2, generator=generator, dtype=torch.float64)
        parts.append((arc(label, per_class) + noise * noises).float())
    return Split(torch.cat(parts), torch.arange(len(CENTERS)).repeat_interleave(per_class))
