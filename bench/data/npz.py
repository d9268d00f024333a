"""Your own images in one `.npz` file: `x_train, y_train`, and `x_test, y_test` where you have them.

Images are `uint8` `[N, H, W]` or `[N, H, W, C]`. Labels are integers `[N]` from 0, as in files of
Keras, or several binary labels 0 or 1 `[N, A]` with their names in an array `attributes`. Arrays
`landmarks_train` and `landmarks_test` `[N, 5, 2]` may hold `x, y` of the left eye, the right eye,
the nose and both mouth corners of each image, in pixels from its left and upper edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.data.base import DataSet, DataSpec, Source, home_path
from bench.data.class_names import (
    PerCombination,
    check_attributes,
    frequent_combinations,
    left_out_notice,
    name_combinations,
)
from bench.data.files import npz_files
from bench.data.files.arrays import Array, image_shape
from bench.data.splits import HeldOutTestOptions
from bench.errors import BenchError, DataMissing, SpecError


@dataclass(kw_only=True)
class StoredSetOptions(HeldOutTestOptions):
    """The options of sources whose decoded images are in one `.npz` file.

    Attributes:
        class_names: One name for each class, in the order of the labels; by default the names that
            the set gives, or the attributes that are 1.
        per_combination: Where it is not 0, a class is a combination of attributes that at least so
            many training images have, and a test image where there are any. Then there may be more
            than eight attributes. The images of other combinations are left out.
    """

    class_names: list[str] | None = None
    per_combination: PerCombination = 0

    def stored_spec(self, path: Path, name: str, known: Sequence[str] = ()) -> DataSpec:
        """Return the shape of a file, from the head of its images and its labels.

        `known` are the names of its classes; without them, classes are called by their labels.
        """
        head = npz_files.read_head(path)
        attributes: tuple[str, ...] = ()
        combinations: tuple[tuple[int, ...], ...] = ()
        if head.attributes is None:
            names = tuple(known) or _labels(path, head.y_train)
        else:
            attributes = tuple(head.attributes.tolist())
            check_attributes(attributes, self.per_combination)
            labels = npz_files.read_labels(path) if self.per_combination else head
            values = labels.values_of(attributes)
            combinations = frequent_combinations(*values, self.per_combination)
            names = name_combinations(attributes, combinations)
        if self.class_names is not None and len(self.class_names) != len(names):
            raise SpecError(
                f"class_names has {len(self.class_names)} names, but the training labels of "
                f"{path} make {len(names)} classes"
            )
        shape = image_shape(path, "x_train", head.x_train)
        return DataSpec(name, shape, tuple(self.class_names or names), attributes, combinations)

    def load_stored(self, path: Path, spec: DataSpec, *, flip: bool) -> DataSet:
        """Read, check and split a file; its notices say which images were left out."""
        left_out, arrays = 0, npz_files.read(path, spec.classes)
        if spec.attributes:
            arrays = arrays.combined(spec.attributes, spec.combinations)
            if self.per_combination:
                arrays, left_out = arrays.without_unlabeled()
            if arrays.y_test is not None and arrays.y_test.min() < 0:
                raise BenchError(f"{path}: y_test has a combination that y_train lacks")
        train, test = arrays.splits()
        data = self.divide_all(spec, train, test, flip=flip)
        return replace(data, notices=left_out_notice(left_out, self.per_combination))


@dataclass(kw_only=True)
class Npz(StoredSetOptions, Source):
    """The images of one file; without `x_test`, a test split is held out.

    The name in tables is that of the file without its suffix. The number of classes is the
    highest training label plus 1; with attributes, a class is a combination that training images
    have. The other options are those of `SplitOptions`, `HeldOutTestOptions` and
    `StoredSetOptions`; classes are called by their labels where `class_names` is null.

    Attributes:
        path: The file; `~` is the home folder.
        flip: Whether training batches are flipped left to right at random.
    """

    later_options: ClassVar[tuple[str, ...]] = ("per_combination",)

    path: str
    flip: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._path = home_path(self.path)

    @property
    def full_spec(self) -> DataSpec:
        """The shape, read from the head of the file and its labels."""
        if not self._path.is_file():
            raise DataMissing(
                f"there is no file {self._path}; an .npz is needed with x_train (uint8 [N, H, W] "
                "or [N, H, W, C]), y_train (integers [N]) and, if you have them, x_test and y_test"
            )
        return self.stored_spec(self._path, self._path.stem)

    def load(self) -> DataSet:
        """Read, check and split the file."""
        spec = self.full_spec
        unread = npz_files.unread_names(self._path)
        data = self.load_stored(self._path, spec, flip=self.flip)
        text = f"{self._path}: left out arrays that are not read: {', '.join(unread)}"
        return replace(data, notices=((text,) if unread else ()) + data.notices)


def _labels(path: Path, y: Array) -> tuple[str, ...]:
    """Return the labels as names; refuse labels that have a gap."""
    present = np.unique(y)
    count, last = len(present), int(present[-1])
    if last != count - 1:
        first = int(np.flatnonzero(present != np.arange(count))[0])
        begins_at_1 = (first, last) == (0, count)
        remedy = "y - 1" if begins_at_1 else "np.searchsorted(np.unique(y_train), y)"
        raise BenchError(
            f"{path}: the {count} labels of y_train go up to {last}, and none is "
            f"{first}; labels are 0 to {count - 1}, as {remedy} gives them"
        )
    return tuple(map(str, range(count)))
