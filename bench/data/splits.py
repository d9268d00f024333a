"""Splits of data sets: per class, as a function of the split seed.

The test split is the official one where there is one; else the same number of examples of every
class. The validation split is then held out of the rest. Every class is in every split, and no
example is in two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.errors import SpecError, describe_unknown
from bench.seeding import generator_for
from bench.spec.run_settings import AtLeastOne, BelowOne


@dataclass(kw_only=True)
class SplitOptions:
    """The options of every source.

    Attributes:
        split_seed: Seed of what is held out; independent of the seeds of the runs.
        validation_fraction: Share of the training examples of each class that is held out for
            validation, in `[0, 1)`; 0 holds out none, more at least one example of each class.
        keep_classes: Names of the classes to keep, with the splits that they have among all; every
            class where null. Labels are renumbered, in the order of the data set.

    Raises:
        SpecError: If a class to keep is named twice, or none is.
    """

    split_seed: int = 0
    validation_fraction: BelowOne = 0.1
    keep_classes: list[str | int] | None = None

    later_options: ClassVar[tuple[str, ...]] = ("keep_classes",)

    def __post_init__(self) -> None:
        if self.keep_classes is not None:
            names = [str(name) for name in self.keep_classes]
            if not names or len({*names}) < len(names):
                raise SpecError(f"keep_classes must be different names, at least one, got {names}")
            if type(self).spec is not SplitOptions.spec:
                raise SpecError(f"{type(self).__name__} has no full_spec, so it keeps all classes")

    @property
    def full_spec(self) -> DataSpec:
        """The shape with all classes, known without loading; for subclasses to define.

        It may raise `DataMissing` where it is read from files.
        """
        raise NotImplementedError

    @property
    def spec(self) -> DataSpec:
        """The shape with the classes that are kept, known without loading."""
        return self._restricted(self.full_spec)

    def divide(self, spec: DataSpec, train: Split, test: Split, *, flip: bool) -> DataSet:
        """Hold validation examples out of the training examples; examples keep their order.

        Args:
            spec: The shape with all classes.
            train: Training examples of all classes, those for validation included.
            test: Test examples of all classes.
            flip: Whether training images are flipped left to right at random.

        Returns:
            The three splits, with the classes that are kept, and their fingerprint.

        Raises:
            SpecError: If a class that is kept has no test examples, or no training examples left.
        """
        kept, fraction = self._kept(spec), self.validation_fraction
        counts, of_test = _counts(train, spec), _counts(test, spec)
        held_out = [max(1, int(n * fraction + 0.5)) if fraction else 0 for n in counts]
        for label in kept:
            name, count, out = spec.class_names[label], counts[label], held_out[label]
            if not of_test[label]:
                raise SpecError(f"{spec.name}: class {name!r} has no test examples")
            if count <= out:
                raise SpecError(
                    f"{spec.name}: class {name!r} has {count} training examples, of which "
                    f"validation_fraction {fraction} takes {out}; none are left"
                )
        train, validation = _divide(train, held_out, self.split_seed, "validation")
        if self.keep_classes is not None:
            train, validation, test = (_renumbered(s, kept) for s in (train, validation, test))
            spec = self._restricted(spec)
        return DataSet(spec, train, validation, test, flip, fingerprint(train, validation, test))

    def _restricted(self, full: DataSpec) -> DataSpec:
        """Return a shape with the classes that are kept."""
        kept = self._kept(full)
        return replace(
            full,
            class_names=tuple(full.class_names[label] for label in kept),
            combinations=tuple(full.combinations[label] for label in kept if full.combinations),
        )

    def _kept(self, full: DataSpec) -> list[int]:
        """Return the labels that are kept; a `SpecError` if a class is not there."""
        if self.keep_classes is None:
            return [*range(full.classes)]
        names = [str(name) for name in self.keep_classes]
        for name in names:
            if name not in full.class_names:
                raise SpecError(describe_unknown(f"class of {full.name}", name, full.class_names))
        return sorted(full.class_names.index(name) for name in names)


@dataclass(kw_only=True)
class HeldOutTestOptions(SplitOptions):
    """The options of sources whose test split has a number of examples that the user chooses.

    Attributes:
        test_per_class: Test examples of each class, if there is no official test split.
    """

    test_per_class: AtLeastOne = 50

    def divide_all(
        self, spec: DataSpec, train: Split, test: Split | None = None, *, flip: bool
    ) -> DataSet:
        """Hold test examples out of the others if there are none yet, then validation examples.

        Args:
            spec: The shape with all classes.
            train: All examples, or the training examples where there is a test split.
            test: The official test split; None holds `test_per_class` examples of each class out.
            flip: Whether training images are flipped left to right at random.

        Returns:
            The three splits, with the classes that are kept, and their fingerprint.

        Raises:
            SpecError: If a class that is kept has too few examples.
        """
        if test is None:
            counts = _counts(train, spec)
            for label in self._kept(spec):
                if (count := counts[label]) <= self.test_per_class:
                    name = spec.class_names[label]
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


def _renumbered(split: Split, kept: list[int]) -> Split:
    """Return the examples of some classes, labeled by their place among these."""
    labels = torch.tensor(kept)
    some = split.take(torch.isin(split.y, labels))
    return replace(some, y=torch.searchsorted(labels, some.y))


def _divide(split: Split, counts: list[int], seed: int, purpose: str) -> tuple[Split, Split]:
    """Return the examples that stay, and a number of each class that are held out."""
    mask = choose_per_class(split.y, counts, seed, purpose)
    return split.take(~mask), split.take(mask)


def _counts(split: Split, spec: DataSpec) -> list[int]:
    return [int(count) for count in torch.bincount(split.y, minlength=spec.classes)]
