"""Scikit-learn's handwritten digits: real images that need no download.

1 797 digits at their native 8x8 (UCI's optical recognition of handwritten digits, test part),
about 180 a class. They are the default of the harness, since they are there on every machine.
"""

import numpy as np

from bench.data.arrays import Arrays
from bench.data.base import DataSet, DataSpec, Source
from bench.data.splits import Splitting


class Digits(Source):
    """The digits 0 to 9, gray, 8x8; there is no official test split.

    The 17 gray levels 0 to 16 become `round(v * 255 / 16)`. Batches are never flipped: mirrored
    digits are not digits.

    Args:
        split_seed: Seed of what is held out.
        validation_fraction: Share of the training images held out for validation.
        test_per_class: Images of each class that form the test split.
    """

    def __init__(
        self,
        *,
        split_seed: int = 0,
        validation_fraction: float = 0.1,
        test_per_class: int = 50,
    ) -> None:
        self._splitting = Splitting(split_seed, validation_fraction, test_per_class)

    @property
    def spec(self) -> DataSpec:
        """The shape: `(1, 8, 8)`, ten classes."""
        return DataSpec("digits", (1, 8, 8), tuple("0123456789"))

    def load(self) -> DataSet:
        """Read the copy inside scikit-learn and split it."""
        from sklearn.datasets import load_digits  # takes a second, and only this set needs it

        raw = load_digits()
        x = np.rint(raw.images * (255 / 16)).astype(np.uint8)
        train, test = Arrays(x, raw.target).splits()
        return self._splitting.divide(self.spec, train, test, flip=False)
