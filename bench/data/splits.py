"""How every data set is split: per class, as a function of the split seed.

The test split is the official one where there is one; else the same number of images of every
class. The validation split is then held out of what is left for training. Every class is in
every split, and no example is in two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.errors import SpecError
from bench.seeding import generator_for


@dataclass(frozen=True)
class SplitOptions:
    """The split options of a source, checked when the source is built.

    Attributes:
        split_seed: Seed of what is held out; independent of the seeds of the runs.
        validation_fraction: Share of the training images of each class that is held out, in
            `[0, 1)`; 0 leaves the validation split empty, more takes at least one image a class.
        test_per_class: Images of each class that become the test split of a set without an
            official one.
    """

    split_seed: int = 0
    validation_fraction: float = 0.1
    test_per_class: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.validation_fraction < 1:
            raise SpecError(
                f"validation_fraction must be in [0, 1), got {self.validation_fraction}"
            )
        if self.test_per_class < 1:
            raise SpecError(f"test_per_class must be at least 1, got {self.test_per_class}")

    def divide(self, spec: DataSpec, train: Split, test: Split | None, *, flip: bool) -> DataSet:
        """Return a data set of three splits, in which examples keep their order.

        `train` is everything but the official test split; where `test` is None, a test split is
        held out of it.
        """
        if test is None:
            for name, count in zip(spec.class_names, _counts(train, spec), strict=True):
                if count <= self.test_per_class:
                    raise SpecError(
                        f"{spec.name}: class {name!r} has {count} examples, and test_per_class "
                        f"takes {self.test_per_class} of each class; lower it, or add examples"
                    )
            held_out = [self.test_per_class] * spec.classes
            train, test = _divide(train, held_out, self.split_seed, "test")
        elif 0 in (counts := _counts(test, spec)):
            name = spec.class_names[counts.index(0)]
            raise SpecError(f"{spec.name}: class {name!r} has no test examples")
        counts = _counts(train, spec)
        held_out = [self._validation_count(count) for count in counts]
        for name, count, out in zip(spec.class_names, counts, held_out, strict=True):
            if count <= out:
                raise SpecError(
                    f"{spec.name}: class {name!r} has {count} training examples, of which "
                    f"validation_fraction {self.validation_fraction} takes {out}; none are left"
                )
        train, validation = _divide(train, held_out, self.split_seed, "validation")
        return DataSet(spec, train, validation, test, flip, fingerprint(train, validation, test))

    def _validation_count(self, count: int) -> int:
        if self.validation_fraction == 0:
            return 0
        return max(1, int(count * self.validation_fraction + 0.5))


def choose_per_class(y: Tensor, counts: Sequence[int], seed: int, purpose: str) -> Tensor:
    """Choose a number of examples of each class at random; return a mask `[N]`.

    A larger count chooses a superset of what a smaller one chooses, and the choice in one class
    does not depend on the other classes. `purpose` names the random stream, for example `test`.

    >>> y = torch.tensor([0, 1, 0, 1, 0])
    >>> y[choose_per_class(y, [2, 1], 0, "test")].sort().values.tolist()
    [0, 0, 1]
    """
    mask = torch.zeros(len(y), dtype=torch.bool)
    for label, count in enumerate(counts):
        indices = (y == label).nonzero().flatten()
        generator = generator_for(seed, "split", purpose, label)
        mask[indices[torch.randperm(len(indices), generator=generator)[:count]]] = True
    return mask


def _divide(split: Split, counts: list[int], seed: int, purpose: str) -> tuple[Split, Split]:
    """Return the examples that stay, and a number of each class that are held out."""
    mask = choose_per_class(split.y, counts, seed, purpose)
    return Split(split.x[~mask], split.y[~mask]), Split(split.x[mask], split.y[mask])


def _counts(split: Split, spec: DataSpec) -> list[int]:
    return [int(count) for count in torch.bincount(split.y, minlength=spec.classes)]
