"""Your own images in one `.npz` file: `x_train, y_train`, and `x_test, y_test` where you have them.

The arrays are `uint8` images `[N, H, W]` or `[N, H, W, C]` and integer labels from 0, as in the
files that Keras distributes.
"""

from pathlib import Path

from bench.data import cache
from bench.data.base import DataSet, DataSpec, Source
from bench.data.splits import Splitting
from bench.errors import DataMissing, SpecError


class Npz(Source):
    """The images of one file; without `x_test`, a test split is held out.

    The name in tables is that of the file without its suffix. The number of classes is the
    highest training label plus 1.

    Args:
        path: The file; `~` is the home folder.
        flip: Whether training batches are flipped left to right at random.
        class_names: One name a class; the labels themselves where left out.
        split_seed: Seed of what is held out.
        validation_fraction: Share of the training images held out for validation.
        test_per_class: Images of each class that form the test split, if the file has none.
    """

    def __init__(
        self,
        *,
        path: str,
        flip: bool = False,
        class_names: list[str] | None = None,
        split_seed: int = 0,
        validation_fraction: float = 0.1,
        test_per_class: int = 50,
    ) -> None:
        self._path = Path(path).expanduser()
        self._flip, self._class_names = flip, class_names
        self._splitting = Splitting(split_seed, validation_fraction, test_per_class)

    @property
    def spec(self) -> DataSpec:
        """The shape, read from the head of the file and its labels.

        Raises:
            DataMissing: If there is no such file.
            SpecError: If `class_names` has the wrong length.
        """
        if reason := self.missing():
            raise DataMissing(reason)
        shape, classes = cache.peek(self._path)
        names = self._class_names or [str(label) for label in range(classes)]
        if len(names) != classes:
            raise SpecError(
                f"class_names has {len(names)} names, but the labels of {self._path} "
                f"go up to {classes - 1}, so there are {classes} classes"
            )
        return DataSpec(self._path.stem, shape, tuple(names))

    def load(self) -> DataSet:
        """Read, check and split the file.

        Returns:
            The splits, on the CPU.

        Raises:
            DataMissing: If there is no such file.
        """
        spec = self.spec
        train, test = cache.read(self._path, spec.classes).splits()
        return self._splitting.divide(spec, train, test, flip=self._flip)

    def missing(self) -> str | None:
        """Return which file is not there, or None."""
        if self._path.is_file():
            return None
        return (
            f"there is no file {self._path}; an .npz is needed with x_train (uint8 [N, H, W] or "
            f"[N, H, W, C]), y_train (integers [N]) and, if you have them, x_test and y_test"
        )
