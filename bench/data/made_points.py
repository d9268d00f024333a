"""Base of toy sets that are made: points around a known shape, a given number per class."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import DataSet, Source, Split
from bench.data.splits import HeldOutTestOptions
from bench.seeding import generator_for
from bench.spec.run_settings import AtLeastOne, NonNegative


@dataclass(kw_only=True)
class MadePoints(HeldOutTestOptions, Source):
    """Points `[N, D]`; the test points are further draws.

    `split_seed` is the seed of the points too. The other options are those of `SplitOptions` and
    `HeldOutTestOptions`.

    Attributes:
        per_class: Training points of each class, those for validation included.
        noise: Standard deviation of the isotropic Gaussian noise.
    """

    per_class: AtLeastOne
    noise: NonNegative
    test_per_class: AtLeastOne = 1000

    @abstractmethod
    def without_noise(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Return points of a class on the shape itself, `float64` `[count, D]`."""

    def load(self) -> DataSet:
        """Draw the points and split them."""
        train, test = self._draw(self.per_class, "train"), self._draw(self.test_per_class, "test")
        return self.divide(self.full_spec, train, test, flip=False)

    def _draw(self, per_class: int, purpose: str) -> Split:
        spec, parts = self.full_spec, []
        for label in range(spec.classes):
            generator = generator_for(self.split_seed, spec.name, purpose, label)
            # float64 until the end: the last bits of float32 differ between processors, and with
            # them the fingerprint would.
            points = self.without_noise(label, per_class, generator)
            noise = torch.randn(points.shape, generator=generator, dtype=torch.float64)
            parts.append((points + self.noise * noise).float())
        return Split(torch.cat(parts), torch.arange(spec.classes).repeat_interleave(per_class))
