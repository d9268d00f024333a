"""Names of classes: their order, and combinations of attributes that are classes."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from bench.errors import BenchError, SpecError, first_few

DIGITS = tuple("0123456789")  # classes of several sets

MOST_ATTRIBUTES = 8

PerCombination = Annotated[int, Field(ge=0)]
"""An option: least number of training images of a combination that is a class; 0 sets no limit."""


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of classes in the order of texts, or of numbers where all are numbers.

    >>> in_order({"10", "9", "02"}), in_order({"10", "9", "b2"})
    (['02', '9', '10'], ['10', '9', 'b2'])
    """
    names = list(names)
    if all(name.isascii() and name.isdecimal() for name in names):
        digits = {name: name.lstrip("0") for name in names}  # Python reads 4300 digits at most
        return sorted(names, key=lambda name: (len(digits[name]), digits[name], name))
    return sorted(names)


def check_classes(
    name: str,
    classes: Sequence[str],
    attributes: Sequence[str],
    combinations: Sequence[Sequence[int]],
) -> None:
    """Raise a `BenchError` unless these are the names of a data set, and describe its classes.

    The combinations are those of the classes: the value 0 or 1 of each attribute.
    """
    for key, names in (("class_names", classes), ("attributes", attributes)):
        if not isinstance(names, tuple) or not all(isinstance(one, str) for one in names):
            raise BenchError(f"{name!r}: {key} must be a tuple of names, got {names!r}")
    for one in (name, *attributes, *classes):
        if type(one) is not str or not one.isprintable():
            raise BenchError(f"{name!r}: the name {one!r} is not printable; rename it")
    for what, names in (("classes", classes), ("attributes", attributes)):
        looks = Counter(unicodedata.normalize("NFC", one) for one in names)
        for look, count in looks.most_common(1):
            if count > 1:
                raise BenchError(f"{name}: {count} {what} are called {look!r}; rename them")
    if not classes:
        raise BenchError(f"{name}: class_names is empty; at least one class is needed")
    sizes = (len(attributes),) * (len(classes) if attributes else 0)
    known = {value for values in combinations for value in values}
    if tuple(len(values) for values in combinations) != sizes or not known <= {0, 1}:
        raise BenchError(
            f"{name}: combinations must hold a value of each of {len(attributes)} attributes for "
            f"each of {len(classes)} classes, 0 or 1, got {combinations!r}"
        )
    for values, count in Counter(map(tuple, combinations)).most_common(1):
        if count > 1:
            alike = [c for c, of in zip(classes, combinations, strict=True) if tuple(of) == values]
            raise BenchError(
                f"{name}: the classes {first_few(alike, 4)} have the same combination {values}; "
                "make them one class, or add an attribute that tells them apart"
            )


def check_attributes(names: Sequence[str], per_combination: int) -> None:
    """Refuse attributes whose combinations cannot be classes: none, too many, or one twice.

    They are not too many where only frequent combinations are classes (`per_combination`).
    """
    if not names or len(set(names)) < len(names):
        raise SpecError(f"attributes must be different names, at least one, got {list(names)}")
    if len(names) > MOST_ATTRIBUTES and not per_combination:
        raise SpecError(
            f"at most {MOST_ATTRIBUTES}, got {len(names)}: a class is a combination of their "
            f"values, and with {2 ** len(names)} classes most would have too few images to be "
            "split and measured. With per_combination: 100, say, a class is a combination that at "
            "least 100 training images have, and the other images are left out",
            key="attributes",
        )


def frequent_combinations(
    train: np.ndarray[Any, Any], test: np.ndarray[Any, Any] | None, least: int
) -> tuple[tuple[int, ...], ...]:
    """Return the combinations of attributes that training images have often, in order.

    `train` and `test` hold the value 0 or 1 of each attribute of each image, `[N, A]`. A
    combination has `least` training images and, where there are any, one test image at least.

    >>> train, test = np.array([[0, 1], [1, 1], [0, 1], [0, 0], [0, 0]]), np.eye(2)
    >>> frequent_combinations(train, None, 2), frequent_combinations(train, test, 0)
    (((0, 0), (0, 1)), ((0, 1),))
    """
    found, counts = np.unique(train.astype(np.int64), axis=0, return_counts=True)
    frequent = set(map(tuple, found[counts >= least].tolist()))
    if test is not None:
        frequent &= set(map(tuple, test.astype(np.int64).tolist()))
    if least and len(frequent) < 2:
        raise SpecError(
            f"{len(frequent)} of {len(found)} combinations of the attributes have {least} training "
            "images, and a test image where there are any; at least two are needed. The most "
            f"frequent one has {counts.max()} training images",
            key="per_combination",
        )
    return tuple(sorted(frequent))


def left_out_notice(count: int, per_combination: int) -> tuple[str, ...]:
    """Return what to say of images that were left out, nothing where none were."""
    text = (
        f"left out {count} images whose combination of attributes fewer than {per_combination} "
        "training images have, or no test image"
    )
    return (text,) if count else ()


def name_combinations(
    attributes: Sequence[str], combinations: Iterable[Sequence[int]]
) -> tuple[str, ...]:
    """Name combinations, the value 0 or 1 of each attribute, by the attributes that are 1.

    >>> name_combinations(("odd", "loop"), [(0, 0), (1, 0), (1, 1)])
    ('none', 'odd', 'odd + loop')
    """
    return tuple(
        " + ".join(name for name, value in zip(attributes, values, strict=True) if value) or "none"
        for values in combinations
    )
