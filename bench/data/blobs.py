"""A tiny synthetic image set for tests: made in milliseconds, of any shape.

An image is one soft spot. Its place on a circle is label-relevant, its jitter and brightness are
label-irrelevant.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch

from bench.data.base import DataSet, DataSpec, Source, Split
from bench.data.splits import HeldOutTestOptions
from bench.seeding import generator_for
from bench.spec.run_settings import AtLeastOne, at_most

IN_MEMORY = "the set is drawn in memory"


@dataclass(kw_only=True)
class Blobs(HeldOutTestOptions, Source):
    """Soft spots, at one place for each class; the test images are further draws.

    `split_seed` is the seed of the images too. The other options are those of `SplitOptions` and
    `HeldOutTestOptions`.

    Attributes:
        image_size: Height and width.
        channels: Number of channels; they differ in brightness.
        classes: Number of classes.
        per_class: Training images of each class, those for validation included.
    """

    image_size: Annotated[AtLeastOne, at_most(1024, IN_MEMORY)] = 8
    channels: Annotated[AtLeastOne, at_most(1024, IN_MEMORY)] = 1
    classes: Annotated[AtLeastOne, at_most(10_000, IN_MEMORY)] = 3
    per_class: Annotated[AtLeastOne, at_most(100_000, IN_MEMORY)] = 40
    test_per_class: Annotated[AtLeastOne, at_most(100_000, IN_MEMORY)] = 10

    @property
    def full_spec(self) -> DataSpec:
        """The shape that the options say."""
        shape = (self.channels, self.image_size, self.image_size)
        return DataSpec("blobs", shape, tuple(map(str, range(self.classes))))

    def load(self) -> DataSet:
        """Draw the images and split them."""
        train, test = self._draw(self.per_class, "train"), self._draw(self.test_per_class, "test")
        return self.divide(self.full_spec, train, test, flip=False)

    def _draw(self, per_class: int, purpose: str) -> Split:
        size = self.image_size
        y = torch.arange(self.classes).repeat_interleave(per_class)
        generator = generator_for(self.split_seed, "blobs", purpose)
        jitter, gain = torch.rand(2, len(y), 2, generator=generator, dtype=torch.float64)
        angle = y * (2 * math.pi / self.classes)
        centers = torch.stack((angle.cos(), angle.sin()), dim=1) * 0.25 + 0.5
        centers = (centers + (jitter - 0.5) * 0.15) * (size - 1)
        grid = torch.arange(size, dtype=torch.float64)
        rows, columns = (
            (-((grid - center[:, None]) ** 2) / (2 * (0.12 * size) ** 2)).exp()
            for center in centers.unbind(1)
        )
        shades = torch.linspace(1, 0.5, self.channels, dtype=torch.float64)
        light = (0.6 + 0.4 * gain[:, :1]) * shades
        image = light[:, :, None, None] * (rows[:, :, None] * columns[:, None, :])[:, None]
        return Split((image * 255).round().to(torch.uint8), y)
