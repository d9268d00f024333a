"""Scikit-learn's handwritten digits: real images that need no download, with one label or three.

1 797 digits at their native 8x8 (UCI's optical recognition of handwritten digits, test part).
"""

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from bench.data.base import DataSet, DataSpec, Source, Split
from bench.data.class_names import DIGITS, name_combinations
from bench.data.files.arrays import Arrays
from bench.data.splits import HeldOutTestOptions


@dataclass(kw_only=True)
class Digits(HeldOutTestOptions, Source):
    """The digits 0 to 9, gray, 8x8; there is no official test split.

    The 17 gray levels 0 to 16 become `round(v * 255 / 16)`. Batches are never flipped: mirrored
    digits are not digits. The options are those of `SplitOptions` and `HeldOutTestOptions`.
    """

    @property
    def full_spec(self) -> DataSpec:
        """The shape: `(1, 8, 8)`, ten classes."""
        return DataSpec("digits", (1, 8, 8), DIGITS)

    def load(self) -> DataSet:
        """Read the copy inside scikit-learn and split it."""
        return self.divide_all(self.full_spec, _read(), flip=False)


ATTRIBUTES = ("odd", "five or more", "loop")
LOOPS = (0, 6, 8, 9)  # a handwritten 4 is mostly open
VALUES = tuple((digit % 2, int(digit >= 5), int(digit in LOOPS)) for digit in range(10))
COMBINATIONS = tuple(sorted(set(VALUES)))


class DigitAttributes(Digits):
    """The same images with three binary labels each: odd, five or more, has a loop.

    Six of the eight combinations occur, with one or two digits each.
    """

    @property
    def full_spec(self) -> DataSpec:
        """The shape: `(1, 8, 8)`, six combinations of three attributes."""
        names = name_combinations(ATTRIBUTES, COMBINATIONS)
        return DataSpec("digit_attributes", (1, 8, 8), names, ATTRIBUTES, COMBINATIONS)

    def load(self) -> DataSet:
        """Read the copy inside scikit-learn, replace digits by combinations, and split it."""
        digits = _read()
        classes = torch.tensor([COMBINATIONS.index(values) for values in VALUES])
        return self.divide_all(self.full_spec, Split(digits.x, classes[digits.y]), flip=False)


def _read() -> Split:
    """Read scikit-learn's file, without the seconds that importing scikit-learn takes."""
    package = find_spec("sklearn")
    folder = Path(*((package and package.submodule_search_locations) or [""]))
    with gzip.open(folder / "datasets" / "data" / "digits.csv.gz", "rt", encoding="ascii") as file:
        rows = np.loadtxt(file, delimiter=",")
    x = np.rint(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return Arrays(x, rows[:, -1].astype(np.int64)).splits()[0]
