"""The interface of metrics.

All metrics of a run are computed on one sample set, and the real test images go through the same
functions. Metrics see 8-bit images, as they would be saved.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec, check_examples
from bench.errors import BenchError, NotApplicable
from bench.record.quantities import Quantity as Quantity
from bench.spec.run_settings import AtLeastOne as AtLeastOne
from bench.training.interface import ConditionalGenerator

_T = TypeVar("_T")


class ClassSizes(ABC):
    """What follows from the number of examples of each class."""

    @property
    @abstractmethod
    def counts(self) -> list[int]:
        """Number of examples of each class."""

    @property
    def per_class(self) -> int:
        """Number of examples of the smallest class."""
        return min(self.counts)

    @property
    def is_balanced(self) -> bool:
        """Whether there are equally many examples of each class."""
        return len(set(self.counts)) == 1


@dataclass(frozen=True)
class SampleSet(ClassSizes):
    """Samples and the labels they were drawn for.

    Attributes:
        x: `uint8` `[N, C, H, W]`, or finite `float32` `[N, D]` for points; on the CPU.
        y: `int64` `[N]`.
        spec: The data set that the samples imitate.
        labeled: Whether `y` is known; if not, it is 0, and metrics that need it do not apply.

    Raises:
        BenchError: If types, shapes, values or labels do not fit the data set.
    """

    x: Tensor
    y: Tensor
    spec: DataSpec
    labeled: bool = True

    def __post_init__(self) -> None:
        check_examples(self.x, self.y, self.spec, "samples")
        if not len(self.x):
            raise BenchError("a sample set needs at least one sample, got 0")

    @cached_property
    def labels(self) -> list[int]:
        """The classes of which there are samples, in order."""
        labels: list[int] = torch.unique(self.y).tolist()
        return labels

    @cached_property
    def counts(self) -> list[int]:
        """Number of samples of each class that has any."""
        counts: list[int] = torch.bincount(self.y)[self.labels].tolist()
        return counts

    @property
    def each_class(self) -> int | list[int]:
        """Number of samples of each class: one number if it is the same for all known classes."""
        return self.per_class if self.is_balanced and self.labeled else self.counts

    def of_classes(self, labels: Iterable[int]) -> "SampleSet":
        """Return the samples of some classes, of which there is at least one."""
        kept = torch.isin(self.y, torch.tensor([*labels]))
        return SampleSet(self.x[kept], self.y[kept], self.spec)


class Measurement(NamedTuple):
    """One number of one metric on one sample set.

    Attributes:
        metric: Name of a quantity: a key of `Metric.quantities`, or such a key and a part, as in
            `fid/per_class`.
        protocol: Every choice that changes the number besides the samples. Only measurements with
            equal protocols belong in one column.
        value: The number, in the unit of its quantity; None if it cannot be computed.
        reason: Why the value is None; empty otherwise.
        error: Standard error over images, in the unit of the value: how much the value would vary
            with other images of the same generator, without another training. None if unknown.
    """

    metric: str
    protocol: str
    value: float | None
    reason: str = ""
    error: float | None = None


def unmeasured(names: Iterable[str], protocol: str, reason: str) -> list[Measurement]:
    """Return a measurement without value for each name, all for the same reason."""
    return [Measurement(name, protocol, None, reason) for name in names]


def micro_and_macro(
    name: str,
    protocol: str,
    micro: float,
    macro: float,
    errors: Sequence[float | None] = (None, None),
) -> list[Measurement]:
    """Return the mean over all images, and that over the classes, which differ in size."""
    return [
        Measurement(name, f"{protocol}[average=micro]", micro, error=errors[0]),
        Measurement(f"{name}/macro", f"{protocol}[average=macro]", macro, error=errors[1]),
    ]


def with_mean(measurements: list[Measurement], protocol: str) -> list[Measurement]:
    """Put the mean of the measurements that have a value first, where any has one."""
    values = [each.value for each in measurements if each.value is not None]
    if not values:
        return measurements
    return [Measurement(measurements[0].metric, protocol, sum(values) / len(values)), *measurements]


@dataclass
class Context:
    """Everything that a metric may use besides the samples.

    Attributes:
        data: The real data.
        device: Where to compute.
        cache: Folder for results that are expensive and depend only on content.
        weights: Files of pretrained networks by name, for example `inception`.
        model: The model that drew the samples; None for real images and images from elsewhere.
        validates: Whether validation images stand in place of test images.
        memory: Results of `remember` in this process: networks, features, real image sets.
    """

    data: DataSet
    device: torch.device
    cache: Path
    weights: dict[str, Path] = field(default_factory=dict)
    model: ConditionalGenerator | None = None
    validates: bool = False
    memory: dict[str, object] = field(default_factory=dict)

    def remember(self, key: str, make: Callable[[], _T]) -> _T:
        """Call `make` once for a key in this process; return its result, or raise its error again.

        Only a `NotApplicable` is kept. The key need not name the data set.
        """
        if key not in self.memory:
            try:
                self.memory[key] = make()
            except NotApplicable as reason:
                self.memory[key] = reason
        if isinstance(result := self.memory[key], NotApplicable):
            raise NotApplicable(str(result))
        return cast("_T", result)

    def on_validation(self) -> "Context":
        """Return a context, with a memory of its own, whose test split is the validation split."""
        if not len(self.data.validation):
            raise BenchError(
                f"{self.data.spec.name} has no validation images; hold some out of the training "
                "images by validation_fraction"
            )
        memory = self.remember("on validation", dict[str, object])
        data = replace(self.data, test=self.data.validation)
        return replace(self, data=data, memory=memory, validates=True)

    def require_images(self) -> None:
        """Raise `NotApplicable` if the data are points."""
        if not self.data.spec.is_image:
            raise NotApplicable(f"{self.data.spec.name} are not images")

    def require_gray_or_color(self) -> None:
        """Raise `NotApplicable` if the data are not images of one or three channels."""
        if not self.data.spec.is_image or self.data.spec.shape[0] not in (1, 3):
            raise NotApplicable(f"{self.data.spec.name} are neither gray nor color images")

    def require_attributes(self) -> None:
        """Raise `NotApplicable` if the images have one label each."""
        if not self.data.spec.attributes:
            raise NotApplicable(f"images of {self.data.spec.name} have one label, no attributes")


class Metric(ABC):
    """Base of all metrics.

    The options of a metric are the annotated parameters of `__init__`, against which the options
    in a sweep are checked; a dataclass whose fields are the options is the shortest form.

    Attributes:
        name: The registry name.
        quantities: What the metric measures, by the names of its measurements; measurements
            `name/part` share the quantity `name`. Tables, comparisons and figures read it.
        file_hashes: SHA-256 of each file among the options, set by the harness. It is added to
            protocols that do not name its first 8 digits themselves.
        needs_labels: True if it requires labels.
        later_options: Options added later. At their default they are left out of the configuration,
            so ids of existing measurements do not change.
    """

    name: ClassVar[str]
    quantities: ClassVar[Mapping[str, Quantity]]
    needs_labels: ClassVar[bool] = True
    later_options: ClassVar[tuple[str, ...]] = ()
    file_hashes: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse a metric, which is a class with a name, without quantities."""
        super().__init_subclass__()
        if not hasattr(cls, "name"):
            return
        quantities = getattr(cls, "quantities", None)
        if not isinstance(quantities, Mapping) or not quantities:
            raise BenchError(
                f"{cls.__name__} must declare `quantities`, a mapping from names of measurements "
                f"to Quantity(title, direction, decimals), got {quantities!r}"
            )
        if wrong := [name for name, of in quantities.items() if not isinstance(of, Quantity)]:
            raise BenchError(f"{cls.__name__}.quantities[{wrong[0]!r}] must be a Quantity")

    def check(self, spec: DataSpec) -> None:  # noqa: B027 (most have nothing to refuse)
        """Refuse options that do not fit the data by a `BenchError`, before anything starts."""

    @abstractmethod
    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure one sample set.

        Args:
            samples: Generated or real examples.
            context: The real data and everything else that the metric may use.

        Returns:
            One or more measurements; those that cannot be computed have a reason and no value.

        Raises:
            NotApplicable: If the metric makes no sense for this data set or model.
        """
