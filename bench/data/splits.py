"""Splits of data sets: per class, as a function of the split seed.

The test split is the official one where there is one; else the same number of examples of every
class. The validation split is then held out of the rest. Every class is in every split, and no
example is in two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.errors import SpecError
from bench.seeding import generator_for


@dataclass(kw_only=True)
class SplitOptions:
    """The options of every source.

    Attributes:
        split_seed: Seed of what is held out; independent of the seeds of the runs.
        validation_fraction: Share of the training examples of each class that is held out for
            validation, in `[0, 1)`; 0 holds out none, more at least one example of each class.

    Raises:
        SpecError: If an option is out of range.
    """

    split_seed: int = 0
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.validation_fraction < 1:
            raise SpecError(
                f"validation_fraction must be in [0, 1), got {self.validation_fraction}"
            )

    def divide(self, spec: DataSpec, train: Split, test: Split, *, flip: bool) -> DataSet:
        """Hold validation examples out of the others; examples keep their order."""
        if 0 in (counts := _counts(test, spec)):
            name = spec.class_names[counts.index(0)]
            raise SpecError(f"{spec.name}: class {name!r} has no test examples")
        counts, fraction = _counts(train, spec), self.validation_fraction
        held_out = [max(1, int(n * fraction + 0.5)) if fraction else 0 for n in counts]
        for name, count, out in zip(spec.class_names, counts, held_out, strict=True):
            if count <= out:
                raise SpecError(
                    f"{spec.name}: class {name!r} has {count} training examples, of which "
                    f"validation_fraction {fraction} takes {out}; none are left"
                )
        train, validation = _divide(train, held_out, self.split_seed, "validation")
        return DataSet(spec, train, validation, test, flip, fingerprint(train, validation, test))


@dataclass(kw_only=True)
class HeldOutTestOptions(SplitOptions):
    """The options of sources whose test split has a number of examples that the user chooses.

    Attributes:
        test_per_class: Test examples of each class, if there is no official test split.
    """

    test_per_class: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_per_class < 1:
            raise SpecError(f"test_per_class must be at least 1, got {self.test_per_class}")

    def divide_all(
        self, spec: DataSpec, train: Split, test: Split | None = None, *, flip: bool
    ) -> DataSet:
        """Hold test examples out of the others if there are none yet, then validation examples."""
        if test is None:
            for name, count in zip(spec.class_names, _counts(train, spec), strict=True):
                if count <= self.test_per_class:
                    raise SpecError(
                        f"{spec.name}: class {name!r} has {count} examples, and test_per_class "
                        f"takes {self.test_per_class} of each class; lower it, or add examples"
                    )
            held_out = [self.test_per_class] * spec.classes
            train, test = _divide(train, held_out, self.split_seed, "test")
        return self.divide(spec, train, test, flip=flip)


def choose_per_class(y: Tensor, counts: Sequence[int], seed: int, purpose: str) -> Tensor:
    """Return a mask `[N]` of `counts[k]` random examples of each class `k`.

    A larger count chooses a superset of what a smaller one chooses, and the choice in one class
    does not depend on the other classes. `purpose` names the random stream.

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
    return split.take(~mask), split.take(mask)


def _counts(split: Split, spec: DataSpec) -> list[int]:
    return [int(count) for count in torch.bincount(split.y, minlength=spec.classes)]
