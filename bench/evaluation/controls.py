"""What samples are compared with: rows whose figures are known before any model is trained.

A control makes a sample set of a data set alone. It goes through the same metrics as samples,
in the same number as the real images, so all controls of a table share its columns. Where one
comes out elsewhere than its docstring says, look at the metric and the data before the models.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.data.base import DataSet
from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.record.sweep_folder import control_title
from bench.seeding import generator_for
from bench.spec.run_config import digest


class Control(ABC):
    """One control; subclasses are what the registry holds. They take no options."""

    @abstractmethod
    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Return the sample set.

        Args:
            data: The data set.
            per_class: Rows of each class that are asked for.

        Returns:
            Rows ordered by class: so many of each, or as many as the smallest test class has.

        Raises:
            NotApplicable: If the data have no such thing.
        """


class Real(Control):
    """Real test examples: what a perfect generator would score."""

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Choose real test examples, equally many of each class."""
        test = data.test
        size = _size(data, per_class)
        rows = []
        for label in range(data.spec.classes):
            members = torch.nonzero(test.y == label).squeeze(1)
            order = torch.randperm(len(members), generator=generator_for(0, "control", label))
            rows.append(members[order[:size]])
        chosen = torch.cat(rows)
        return SampleSet(test.x[chosen], test.y[chosen], data.spec)


class ClassMeans(Control):
    """The mean training example of each class, again and again: right, and never different.

    A model that has collapsed to one image a class looks like this. The diversity within a class
    is 0.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Repeat the mean of each class."""
        train, size = data.train, _size(data, per_class)
        means = []
        for label, name in enumerate(data.spec.class_names):
            members = train.x[train.y == label]
            if not len(members):
                raise NotApplicable(f"class {name!r} has no training examples to take a mean of")
            means.append(_mean(members))
        x = torch.stack(means).repeat_interleave(size, dim=0)
        y = torch.arange(data.spec.classes).repeat_interleave(size)
        return SampleSet(x, y, data.spec)


class ShuffledLabels(Control):
    """The real test examples with their labels shuffled: a generator that ignores the label.

    Whatever looks at all samples together is that of the real images. The class accuracy is at
    chance, one in `K`, for any classifier whatsoever.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Deal the real examples out to the classes at random."""
        real = Real().samples(data, per_class)
        order = torch.randperm(len(real.y), generator=generator_for(0, "control", "shuffled"))
        return SampleSet(real.x[order], real.y, data.spec)


class Noise(Control):
    """Independent uniform pixels, or points of the box that holds the training points.

    The class accuracy is about chance, and the distances from real images are huge.
    """

    def samples(self, data: DataSet, per_class: int) -> SampleSet:
        """Draw noise."""
        y = torch.arange(data.spec.classes).repeat_interleave(_size(data, per_class))
        shape, generator = (len(y), *data.spec.shape), generator_for(0, "control", "noise")
        if data.spec.is_image:
            x = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        else:
            low, high = data.train.x.amin(dim=0), data.train.x.amax(dim=0)
            x = low + (high - low) * torch.rand(shape, generator=generator)
        return SampleSet(x, y, data.spec)


def _size(data: DataSet, per_class: int) -> int:
    return min(per_class, int(torch.bincount(data.test.y, minlength=data.spec.classes).min()))


def _mean(x: Tensor) -> Tensor:
    """Return the mean of examples `[N, ...]`, rounded where they are bytes."""
    mean = x.double().mean(dim=0)
    return mean.round().to(torch.uint8) if x.dtype == torch.uint8 else mean.to(x.dtype)


def control_config(name: str, data: Mapping[str, Any], per_class: int) -> dict[str, Any]:
    """Return what stands in the `config.json` of a control."""
    return {"data": data, "control": control_title(name), "samples_per_class": per_class}


def control_id(name: str, data: Mapping[str, Any], per_class: int) -> str:
    """Return the folder name of a control.

    Args:
        name: Which control.
        data: Name and options of the data set, complete.
        per_class: How many of each class are asked for.

    Returns:
        The name.
    """
    return f"{name}-{digest({'data': data, 'samples_per_class': per_class})}"
