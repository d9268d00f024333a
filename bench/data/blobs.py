"""A tiny synthetic image set for tests: made in milliseconds, of any shape.

An image is one soft spot. Its place on a circle shows the class; its jitter and brightness do not,
so there is something label-relevant and something label-irrelevant.
"""

import math

import torch

from bench.data.base import DataSet, DataSpec, Source, Split
from bench.data.splits import SplitOptions
from bench.errors import SpecError
from bench.seeding import generator_for


class Blobs(Source):
    """Soft spots, one place a class; the test images are further draws.

    Args:
        image_size: Height and width.
        channels: Number of channels; they differ in brightness.
        classes: Number of classes.
        per_class: Training images a class, those for validation included.
        split_seed: Seed of the images and of what is held out.
        validation_fraction: Share of the training images held out for validation.
        test_per_class: Test images a class.

    Raises:
        SpecError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        image_size: int = 8,
        channels: int = 1,
        classes: int = 3,
        per_class: int = 40,
        split_seed: int = 0,
        validation_fraction: float = 0.1,
        test_per_class: int = 10,
    ) -> None:
        sizes = {"image_size": image_size, "channels": channels, "per_class": per_class}
        for option, value in (*sizes.items(), ("classes", classes)):
            if value < 1:
                raise SpecError(f"{option} must be at least 1, got {value}")
        self._shape = (channels, image_size, image_size)
        self._classes, self._per_class = classes, per_class
        self._splits = SplitOptions(split_seed, validation_fraction, test_per_class)

    @property
    def spec(self) -> DataSpec:
        """The shape that the options say."""
        return DataSpec("blobs", self._shape, tuple(str(k) for k in range(self._classes)))

    def load(self) -> DataSet:
        """Draw the images and split them."""
        train = self._draw(self._per_class, "train")
        test = self._draw(self._splits.test_per_class, "test")
        return self._splits.divide(self.spec, train, test, flip=False)

    def _draw(self, per_class: int, purpose: str) -> Split:
        channels, size, _ = self._shape
        y = torch.arange(self._classes).repeat_interleave(per_class)
        generator = generator_for(self._splits.split_seed, "blobs", purpose)
        jitter, gain = torch.rand(2, len(y), 2, generator=generator, dtype=torch.float64)
        angle = y * (2 * math.pi / self._classes)
        centers = torch.stack((angle.cos(), angle.sin()), dim=1) * 0.25 + 0.5
        centers = (centers + (jitter - 0.5) * 0.15) * (size - 1)
        grid = torch.arange(size, dtype=torch.float64)
        rows, columns = (
            (-((grid - center[:, None]) ** 2) / (2 * (0.12 * size) ** 2)).exp()
            for center in centers.unbind(1)
        )
        shades = torch.linspace(1, 0.5, channels, dtype=torch.float64)
        light = (0.6 + 0.4 * gain[:, :1]) * shades
        image = light[:, :, None, None] * (rows[:, :, None] * columns[:, None, :])[:, None]
        return Split((image * 255).round().to(torch.uint8), y)
