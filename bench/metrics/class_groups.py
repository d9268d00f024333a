"""The option `groups` of metrics: single classes, or groups such as head and tail."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Discriminator, Field, Tag

from bench.data.base import DataSet, DataSpec
from bench.errors import BenchError, describe_unknown
from bench.metrics.base import Measurement, Metric, SampleSet
from bench.spec.run_settings import Strict


class TrainingImages(Strict):
    """The classes with a number of training images in a range.

    Attributes:
        at_least: The smallest number of training images.
        at_most: The largest number; None for any.
    """

    at_least: Annotated[int, Field(ge=0)] = 0
    at_most: Annotated[int, Field(ge=0)] | None = None


def _form(value: object) -> str:
    """Return which form a value has, so that error messages are about that form alone."""
    return "table" if isinstance(value, dict | TrainingImages) else "names"


Names = Annotated[list[str], Field(min_length=1)]
Group = Annotated[
    Annotated[Names, Tag("names")] | Annotated[TrainingImages, Tag("table")], Discriminator(_form)
]
Groups = Annotated[
    Annotated[Literal["classes"], Tag("names")] | Annotated[dict[str, Group], Tag("table")],
    Discriminator(_form),
]
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
TAKEN = ("macro", "per_class")  # as in `class_accuracy/macro` and `fid/per_class`


@dataclass(frozen=True, kw_only=True)
class GroupedMetric(Metric):
    """A metric that can also be measured within groups of classes, as `<name>/<group>`.

    Samples of a group are compared with real images of its classes. Classifiers and extractors are
    those of all classes.

    Attributes:
        groups: `classes`, each class by itself; or a table of groups: names of classes, or
            `{at_least: 20, at_most: 100}`, the classes with a number of training images in that
            range.
    """

    later_options: ClassVar[tuple[str, ...]] = ("groups",)

    groups: Groups | None = None

    def check(self, spec: DataSpec) -> None:
        """Refuse groups with classes that the data set does not have."""
        for name, group in _table(self.groups).items():
            if not NAME.fullmatch(name):
                raise BenchError(f"groups: {name!r}: expected a name of letters, digits, _ . -")
            if name in TAKEN:
                raise BenchError(f"groups: {name!r} is a reserved name; choose another")
            for one in group if isinstance(group, list) else ():
                if one not in spec.class_names:
                    message = describe_unknown("class", one, spec.class_names)
                    raise BenchError(f"groups: {name}: {message}")


def grouped_measurements(
    metric: Metric, samples: SampleSet, data: DataSet
) -> Iterator[tuple[str, str, SampleSet | None]]:
    """Yield what the metric is measured on: name of the group, its part of protocols, samples.

    First all samples, whose name is empty; None for a group that no sample is of.
    """
    yield "", "" if samples.is_balanced else f"[class-sizes={_sizes(samples)}]", samples
    for name, labels in _labels_by_group(metric, data).items() if samples.labeled else ():
        present = [label for label in labels if label in samples.labels]
        part = samples.of_classes(present) if present else None
        digest = hashlib.sha256(repr(labels).encode()).hexdigest()[:8]
        about = f"[classes={name}:{len(labels)}@{digest}]"
        if part and not part.is_balanced:
            about += f"[class-sizes={_sizes(part)}]"
        yield name, about, part


def of_group(found: Measurement, group: str, about: str) -> Measurement:
    """Return a measurement with the name of its group, and what its protocol says of it."""
    name = f"{found.metric}/{group}" if group else found.metric
    # What fits no protocol in particular, since it does not apply, keeps the empty one.
    return found._replace(metric=name, protocol=found.protocol and f"{found.protocol}{about}")


def _labels_by_group(metric: Metric, data: DataSet) -> Mapping[str, list[int]]:
    """Return the labels of each group that is asked for."""
    if not isinstance(metric, GroupedMetric) or metric.groups is None:
        return {}
    names = data.spec.class_names
    if metric.groups == "classes":
        return {name: [label] for label, name in enumerate(names)}
    counts = torch.bincount(data.train.y, minlength=len(names)).tolist()
    return {
        name: [names.index(one) for one in group]
        if isinstance(group, list)
        else [
            label
            for label, count in enumerate(counts)
            if group.at_least <= count and (group.at_most is None or count <= group.at_most)
        ]
        for name, group in _table(metric.groups).items()
    }


def _table(groups: Groups | None) -> Mapping[str, list[str] | TrainingImages]:
    return groups if isinstance(groups, dict) else {}


def _sizes(samples: SampleSet) -> str:
    """Return the smallest and largest number of samples of a class, and a hash of all numbers."""
    counts = dict(zip(samples.labels, samples.counts, strict=True))
    digest = hashlib.sha256(repr(counts).encode()).hexdigest()[:8]
    return f"{min(samples.counts)}..{max(samples.counts)}@{digest}"
