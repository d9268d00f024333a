"""Controls: rows whose values are known before any model is trained.

A control makes a sample set from a data set alone, which goes through the same metrics as samples.
If it differs from what its docstring says, check the metric and the data before the models.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.data.base import DataSet, Split
from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.images_by_class import ordered_by_content
from bench.record.sweep_folder import control_title
from bench.seeding import generator_for
from bench.spec.run_config import digest

STREAM = "reference"  # of random numbers: another name would give controls other values


class Control(ABC):
    """A control; the registry holds subclasses, which take no options."""

    @abstractmethod
    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Return the sample set.

        Args:
            data: The data set.
            per_class: Examples of each class; fewer if the smallest test class has fewer.

        Returns:
            Examples ordered by class.

        Raises:
            NotApplicable: If the data have no such control.
        """


class Real(Control):
    """Real test examples: what a perfect generator would score."""

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Choose real test examples, equally many of each class."""
        size = len(_labels(data, per_class)) // data.spec.classes
        return self.samples_by_counts(data, [size] * data.spec.classes)

    def samples_like(self, samples: SampleSet, data: DataSet) -> SampleSet:
        """Choose as many real test examples of each class as there are samples, if there are."""
        if not samples.labeled:
            test = ordered_by_content(data.test, len(samples.y))
            return SampleSet(test.x, torch.zeros_like(test.y), data.spec, labeled=False)
        if samples.is_balanced:
            return self.samples(data, samples.per_class)
        counts = torch.bincount(samples.y, minlength=data.spec.classes)
        return self.samples_by_counts(data, counts.tolist())

    def samples_by_counts(self, data: DataSet, counts: Sequence[int]) -> SampleSet:
        """Choose that many real test examples of each class; fewer where a class has fewer."""
        chosen = _some_of_each(data.test, counts)
        return SampleSet(chosen.x, chosen.y, data.spec)


class TrainingCopies(Control):
    """Training examples, like a generator that only copies.

    They are real, so what compares samples with test examples gives about the values of other real
    ones. `memorization` is 100 %: it is the row by which to tell whether that metric sees copies.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Choose training examples, equally many of each class."""
        counts = torch.bincount(data.train.y, minlength=data.spec.classes)
        if not counts.min():
            name = data.spec.class_names[int(counts.argmin())]
            raise NotApplicable(f"class {name!r} has no training examples to copy")
        size = len(_labels(data, min(per_class, int(counts.min())))) // data.spec.classes
        chosen = _some_of_each(data.train, [size] * data.spec.classes)
        return SampleSet(chosen.x, chosen.y, data.spec)


class ClassMeans(Control):
    """The mean training example of each class, repeated, like a model that has collapsed.

    It shows the class but has no diversity within a class.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Repeat the mean of each class, rounded where examples are bytes."""
        train, y, means = data.train, _labels(data, per_class), []
        for label, name in enumerate(data.spec.class_names):
            members = train.x[train.y == label]
            if not len(members):
                raise NotApplicable(f"class {name!r} has no training examples to take a mean of")
            mean = members.double().mean(dim=0)
            means.append((mean.round() if data.spec.is_image else mean).to(members.dtype))
        return SampleSet(torch.stack(means)[y], y, data.spec)


class ShuffledLabels(Control):
    """The real test examples with shuffled labels, like a generator that ignores the label.

    Metrics that look at all samples together give the values of the real images. The class accuracy
    is at chance, one in `K`, for any classifier.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Distribute the real examples over the classes at random."""
        real = Real().samples(data, per_class)
        order = torch.randperm(len(real.y), generator=generator_for(0, STREAM, "shuffled"))
        return SampleSet(real.x[order], real.y, data.spec)


class Noise(Control):
    """Independent uniform pixels, or points of the box that holds the training points.

    The class accuracy is about chance, and the distances from real images are huge.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Draw noise."""
        y = _labels(data, per_class)
        shape, generator = (len(y), *data.spec.shape), generator_for(0, STREAM, "noise")
        if data.spec.is_image:
            x = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        else:
            low, high = data.train.x.amin(dim=0), data.train.x.amax(dim=0)
            x = low + (high - low) * torch.rand(shape, generator=generator)
        return SampleSet(x, y, data.spec)


def _some_of_each(split: Split, counts: Sequence[int]) -> Split:
    """Choose that many random examples of each class, in order; fewer where a class has fewer."""
    indices = []
    for label, count in enumerate(counts):
        members = torch.nonzero(split.y == label).squeeze(1)
        order = torch.randperm(len(members), generator=generator_for(0, STREAM, label))
        indices.append(members[order[:count]])
    chosen = torch.cat(indices)
    return Split(split.x[chosen], split.y[chosen])


def _labels(data: DataSet, per_class: int) -> torch.Tensor:
    """Return labels in order: of each class `per_class`, or the size of the smallest test class."""
    classes = data.spec.classes
    size = min(per_class, int(torch.bincount(data.test.y, minlength=classes).min()))
    return torch.arange(classes).repeat_interleave(size)


def control_config(
    name: str, data: Mapping[str, Any], per_class: int | Sequence[int]
) -> dict[str, Any]:
    """Return the configuration in the `config.json` of a control; a number for each class."""
    return {"data": data, "control": control_title(name), "samples_per_class": per_class}


def control_id(name: str, data: Mapping[str, Any], per_class: int | Sequence[int]) -> str:
    """Return the folder name of a control on a complete data component."""
    return f"{name}-{digest({'data': data, 'samples_per_class': per_class})}"
