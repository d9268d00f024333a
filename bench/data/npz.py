"""Your own images in one `.npz` file: `x_train, y_train`, and `x_test, y_test` where you have them.

Images are `uint8` `[N, H, W]` or `[N, H, W, C]`. Labels are integers `[N]` from 0, as in files of
Keras, or several binary labels 0 or 1 `[N, A]` with their names in an array `attributes`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data import npz_files
from bench.data.arrays import image_shape
from bench.data.base import DataSet, DataSpec, Source
from bench.data.class_names import check_attributes, name_combinations
from bench.data.splits import HeldOutTestOptions
from bench.errors import BenchError, DataMissing, SpecError


@dataclass(kw_only=True)
class Npz(HeldOutTestOptions, Source):
    """The images of one file; without `x_test`, a test split is held out.

    The name in tables is that of the file without its suffix. The number of classes is the
    highest training label plus 1; with attributes, a class is a combination that training images
    have. The other options are those of `SplitOptions` and `HeldOutTestOptions`.

    Attributes:
        path: The file; `~` is the home folder.
        flip: Whether training batches are flipped left to right at random.
        class_names: One name for each class; by default the labels themselves, or the attributes
            that are 1.
    """

    path: str
    flip: bool = False
    class_names: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._path = Path(self.path).expanduser()

    @property
    def spec(self) -> DataSpec:
        """The shape, read from the head of the file and its labels."""
        if not self._path.is_file():
            raise DataMissing(
                f"there is no file {self._path}; an .npz is needed with x_train (uint8 [N, H, W] "
                "or [N, H, W, C]), y_train (integers [N]) and, if you have them, x_test and y_test"
            )
        head = npz_files.read_head(self._path)
        attributes: tuple[str, ...] = ()
        combinations: tuple[tuple[int, ...], ...] = ()
        if head.attributes is None:
            names = tuple(map(str, range(int(head.y_train.max()) + 1)))
        else:
            attributes = tuple(head.attributes.tolist())
            check_attributes(attributes)
            combinations = tuple(map(tuple, np.unique(head.y_train, axis=0).tolist()))
            names = name_combinations(attributes, combinations)
        if self.class_names is not None and len(self.class_names) != len(names):
            raise SpecError(
                f"class_names has {len(self.class_names)} names, but the training labels of "
                f"{self._path} make {len(names)} classes"
            )
        shape = image_shape(self._path, "x_train", head.x_train)
        names = tuple(self.class_names or names)
        return DataSpec(self._path.stem, shape, names, attributes, combinations)

    def load(self) -> DataSet:
        """Read, check and split the file."""
        spec = self.spec
        arrays = npz_files.read(self._path, spec.classes)
        if spec.attributes:
            arrays = arrays.combined(spec.attributes, spec.combinations)
            if arrays.y_test is not None and arrays.y_test.min() < 0:
                raise BenchError(f"{self._path}: y_test has a combination that y_train lacks")
        train, test = arrays.splits()
        return self.divide_all(spec, train, test, flip=self.flip)
