"""What a metric is: a name, a protocol id, what it needs, and one function of a sample set.

All metrics of a run are computed on one and the same sample set, and the real test images go
through the same functions. Images are judged as 8-bit images, as they would be saved.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec
from bench.errors import BenchError
from bench.record.quantities import Direction as Direction
from bench.record.quantities import Quantity
from bench.training.interface import ConditionalGenerator


@dataclass(frozen=True)
class SampleSet:
    """Samples and the labels they were asked for.

    Attributes:
        x: `uint8` `[N, C, H, W]`, or `float32` `[N, 2]` for points; on the CPU.
        y: `int64` `[N]`, the same number of rows for every class.
        spec: The data set that the samples imitate.

    Raises:
        BenchError: If images are no bytes, points are not finite, or labels do not fit.
    """

    x: Tensor
    y: Tensor
    spec: DataSpec

    def __post_init__(self) -> None:
        kind, shape = (torch.uint8 if self.spec.is_image else torch.float32), list(self.x.shape)
        if self.x.dtype != kind or len(shape) != 1 + len(self.spec.shape):
            axes = "[N, C, H, W]" if self.spec.is_image else "[N, 2]"
            raise BenchError(
                f"samples of {self.spec.name} must be {kind} {axes}, got {self.x.dtype} {shape}"
            )
        if not self.spec.is_image and not bool(torch.isfinite(self.x).all()):
            raise BenchError(f"samples of {self.spec.name} contain values that are not finite")
        if not len(self.x) or self.y.shape != (len(self.x),):
            raise BenchError(
                f"a sample set needs a label for each of at least one sample, got {len(self.x)} "
                f"samples and labels {list(self.y.shape)}"
            )
        low, high = (int(label) for label in self.y.aminmax())
        if not 0 <= low <= high < self.spec.classes:
            raise BenchError(
                f"labels must lie in [0, {self.spec.classes}), got labels from {low} to {high}"
            )

    @property
    def per_class(self) -> int:
        """Rows of each class.

        Raises:
            ValueError: If the classes do not have equally many rows.
        """
        counts = torch.bincount(self.y, minlength=self.spec.classes)
        if counts.min() != counts.max():
            raise ValueError(
                f"metrics need equally many samples of every class, got {counts.tolist()}"
            )
        return int(counts[0])


class Measurement(NamedTuple):
    """One figure.

    Attributes:
        metric: What was measured, for example `inception_score`.
        protocol: How, down to every choice that changes the number; two figures may stand in one
            column only if their protocols are equal.
        value: The figure, in the metric's unit; None where it does not apply.
        reason: Why the value is None, else empty.
        error: Standard error over images, in the unit of the value: what other images of the same
            generator would change, without another training. None where it is not known.
    """

    metric: str
    protocol: str
    value: float | None
    reason: str = ""
    error: float | None = None


@dataclass
class Context:
    """What a metric may use besides the samples.

    Attributes:
        data: The real data.
        device: Where to compute.
        weights: Files of downloaded networks by name, for example `inception`.
        cache: Folder for what is expensive and depends on content alone.
        model: The model that drew the samples; None for real images and images from elsewhere.
        extractors: Networks already built in this process, by key; filled by
            `bench.metrics.extractors.domain`.
    """

    data: DataSet
    device: torch.device
    cache: Path
    weights: dict[str, Path] = field(default_factory=dict)
    model: ConditionalGenerator | None = None
    extractors: dict[str, object] = field(default_factory=dict)

    def on_validation(self) -> "Context":
        """Return the same with the validation split where the test split stood, if there is one."""
        if not len(self.data.validation):
            raise BenchError(
                f"{self.data.spec.name} has no validation images; hold some out of the training "
                "images by validation_fraction"
            )
        # What is kept by name, such as chosen test images, must not be taken for the other split's.
        kept = self.extractors.setdefault("on validation", {})
        assert isinstance(kept, dict)
        return replace(self, data=replace(self.data, test=self.data.validation), extractors=kept)


class Metric(ABC):
    """One metric; subclasses are what the registry holds.

    A subclass takes its options as annotated keyword arguments of `__init__`; the options of a
    sweep are checked against that signature.

    Attributes:
        name: The registry name, and the `metric` of its measurements.
        title: What it is called in tables; `name` where empty.
        unit: Unit of the value, empty for a pure number.
        direction: Which values are better; None where that is for the reader to say.
        decimals: Digits that tables print; None for four significant ones.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    direction: ClassVar[Direction | None] = None
    decimals: ClassVar[int | None] = None

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """Return what its measurements are, by the names that they carry in `metric`.

        One quantity where not overridden. Tables, comparisons and figures go by this. A measurement
        `name/part` is a quantity of its own, printed as `name` with the part behind the title.
        """
        title = (cls.title or cls.name) + (f" ({cls.unit})" if cls.unit else "")
        return {cls.name: Quantity(title, cls.direction, cls.decimals)}

    @abstractmethod
    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure one sample set.

        Args:
            samples: Generated or real examples.
            context: The real data, the device, and the caches.

        Returns:
            One or more figures; a figure that cannot be had is a `Measurement` without a value
            and with the reason.

        Raises:
            NotApplicable: If the metric makes no sense for this data set.
        """
