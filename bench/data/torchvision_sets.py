"""Five of the sets that torchvision knows: one table row and one class for each.

Looked for in this order: `NAME.npz` in the data folder; torchvision's own files in its
`torchvision` folder; a download, unless `BENCH_OFFLINE` is set. What torchvision gives is written
to `NAME.npz`, so it is decoded once, and a machine without a network needs only that file.
"""

from pathlib import Path

from torch.nn.functional import pad

from bench.data import npz_files
from bench.data import torchvision_files as files
from bench.data.arrays import Arrays, check
from bench.data.base import DataSet, DataSpec, Source, Split
from bench.data.class_names import CIFAR10_CLASSES, CIFAR100_CLASSES, DIGITS, GARMENTS
from bench.data.splits import Splitting
from bench.data.torchvision_files import Known
from bench.errors import BenchError, SpecError


class TorchvisionSet(Source):
    """What these have in common, and CelebA; the test split is the official one.

    Attributes:
        known: What there is to know about the set.

    Args:
        split_seed: Seed of what is held out.
        validation_fraction: Share of the training images held out for validation.
    """

    known: Known

    def __init__(self, *, split_seed: int = 0, validation_fraction: float = 0.1) -> None:
        self._splitting = Splitting(split_seed, validation_fraction)
        self._size = self.known.shape[1]

    @property
    def spec(self) -> DataSpec:
        """The shape; no file is touched."""
        shape = (self.known.shape[0], self._size, self._size)
        return DataSpec(self.known.name, shape, self.known.class_names)

    def load(self) -> DataSet:
        """Find, check, pad and split the images.

        Returns:
            The splits, on the CPU.

        Raises:
            DataMissing: If the files are neither here nor to be had from the network.
            BenchError: If they are damaged.
        """
        train, test = self._parts()
        return self._splitting.divide(self.spec, train, test, flip=self.known.flip)

    def missing(self) -> str | None:
        """Return what would have to be downloaded and how else to provide it, or None.

        The network is not asked: where downloads are allowed, `load` may yet succeed.
        """
        if self.known.npz.is_file() or files.has_copy(self.known):
            return None
        if files.is_offline():
            return files.advice(self.known, "BENCH_OFFLINE is set, so it is not downloaded")
        return files.advice(self.known, "it would be downloaded from the network")

    def _parts(self) -> tuple[Split, Split]:
        npz = self.known.npz
        if npz.is_file():
            return self._checked(npz, npz_files.read(npz))
        arrays = self._decode()
        parts = self._checked(files.folder(), arrays)
        npz_files.write(npz, arrays)
        return parts

    def _decode(self) -> Arrays:
        return files.decode(self.known)

    def _labeled(self, origin: Path, arrays: Arrays) -> Arrays:
        """Return the arrays with a class for each image; `origin` is for messages."""
        return arrays

    def _checked(self, origin: Path, arrays: Arrays) -> tuple[Split, Split]:
        check(origin, arrays, len(self.known.class_names))
        train, test = self._labeled(origin, arrays).splits()
        if test is None:
            raise BenchError(f"{origin}: has no arrays x_test and y_test")
        if tuple(train.x.shape[1:]) != self.known.shape:
            raise BenchError(
                f"{origin}: x_train has images {list(arrays.x_train.shape[1:])}, but those of "
                f"{self.known.name} are [{self.known.layout}]"
            )
        return self._padded(train), self._padded(test)

    def _padded(self, split: Split) -> Split:
        extra = self._size - self.known.shape[1]
        if extra == 0:
            return split
        before, after = extra // 2, extra - extra // 2
        return Split(pad(split.x, (before, after, before, after)), split.y)


class Gray28Set(TorchvisionSet):
    """The two 28x28 sets, zero-padded because the shared networks halve the image down to 2x2.

    Args:
        image_size: Height and width after padding, at least 28.
        split_seed: Seed of what is held out.
        validation_fraction: Share of the training images held out for validation.

    Raises:
        SpecError: If the image would have to be cut.
    """

    def __init__(
        self, *, image_size: int = 32, split_seed: int = 0, validation_fraction: float = 0.1
    ) -> None:
        super().__init__(split_seed=split_seed, validation_fraction=validation_fraction)
        if image_size < self._size:
            raise SpecError(
                f"image_size must be at least {self._size}, the native size of "
                f"{self.known.name}, got {image_size}"
            )
        self._size = image_size


def _idx_files(folder: str) -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/raw/{part}-{kind}" for part in ("train", "t10k") for kind in kinds)


class MNIST(Gray28Set):
    """Handwritten digits; never flipped, since mirrored digits are not digits."""

    known = Known("mnist", "MNIST", (1, 28, 28), DIGITS, _idx_files("MNIST"))


class FashionMNIST(Gray28Set):
    """Garments; never flipped, since all shoes point to the same side."""

    known = Known(
        "fashion_mnist", "FashionMNIST", (1, 28, 28), GARMENTS, _idx_files("FashionMNIST")
    )


class SVHN(TorchvisionSet):
    """House numbers, label 0 for the digit 0; never flipped, and `extra` is not used."""

    known = Known(
        "svhn",
        "SVHN",
        (3, 32, 32),
        DIGITS,
        ("train_32x32.mat", "test_32x32.mat"),
        ({"split": "train"}, {"split": "test"}),
    )


class CIFAR10(TorchvisionSet):
    """Photographs in ten classes; flipped, as is usual."""

    known = Known(
        "cifar10",
        "CIFAR10",
        (3, 32, 32),
        CIFAR10_CLASSES,
        ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"),
        flip=True,
    )


class CIFAR100(TorchvisionSet):
    """Photographs in a hundred classes, with the fine labels; flipped, as is usual."""

    known = Known(
        "cifar100",
        "CIFAR100",
        (3, 32, 32),
        CIFAR100_CLASSES,
        ("cifar-100-python/train", "cifar-100-python/test"),
        flip=True,
    )
