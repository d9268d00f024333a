"""Five of the sets that torchvision provides.

They come from `NAME.npz` in the data folder, else from torchvision's own files in its `torchvision`
folder, else from a download, unless `BENCH_OFFLINE` is set. Then `NAME.npz` is written, so a set is
decoded once, and a machine without a network needs only that file.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch.nn.functional import pad

from bench.data import torchvision_files as files
from bench.data.base import DataSet, DataSpec, Source, Split, is_offline
from bench.data.class_names import DIGITS
from bench.data.files import npz_files
from bench.data.files.arrays import Arrays, check_arrays
from bench.data.splits import SplitOptions
from bench.data.torchvision_files import SetInfo
from bench.errors import BenchError

GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

_FINE_LABELS = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle
    bowl boy bridge bus butterfly camel can castle caterpillar cattle
    chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket
    rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

CIFAR100_CLASSES = tuple(_FINE_LABELS.split())


@dataclass(kw_only=True)
class TorchvisionSet(SplitOptions, Source):
    """Base of the sets of torchvision; the test split is the official one.

    Attributes:
        info: The facts about the set.
    """

    info: SetInfo = field(init=False)

    @property
    def _size(self) -> int:
        return self.info.shape[1]

    @property
    def full_spec(self) -> DataSpec:
        """The shape; no file is touched."""
        shape = (self.info.shape[0], self._size, self._size)
        return DataSpec(self.info.name, shape, self.info.class_names)

    def load(self) -> DataSet:
        """Find, check, pad and split the images."""
        npz = self.info.npz
        is_decoded = npz.is_file()
        arrays = npz_files.read(npz) if is_decoded else self._decode()
        origin = npz if is_decoded else files.torchvision_folder()
        check_arrays(origin, arrays, len(self.info.class_names))
        train, test = self._labeled(origin, arrays).splits()
        if test is None:
            raise BenchError(f"{origin}: has no arrays x_test and y_test")
        if tuple(train.x.shape[1:]) != self.info.shape:
            raise BenchError(
                f"{origin}: x_train has images {list(arrays.x_train.shape[1:])}, but those of "
                f"{self.info.name} are [{self.info.layout}]"
            )
        if not is_decoded:
            npz_files.write(npz, arrays)
        train, test = self._padded(train), self._padded(test)
        return self.divide(self.full_spec, train, test, flip=self.info.flip)

    def missing(self) -> str | None:
        """Return how to provide the set, or None if its files are there; `load` may download it."""
        if self.info.npz.is_file() or files.has_copy(self.info):
            return None
        offline = "BENCH_OFFLINE is set, so it is not downloaded"
        why = offline if is_offline() else "it would be downloaded from the network"
        return files.explain_missing(self.info, why)

    def _decode(self) -> Arrays:
        return files.decode_parts(self.info)

    def _labeled(self, origin: Path, arrays: Arrays) -> Arrays:
        """Return the arrays with a class for each image."""
        return arrays

    def _padded(self, split: Split) -> Split:
        extra = self._size - self.info.shape[1]
        before, after = extra // 2, extra - extra // 2
        return Split(pad(split.x, (before, after, before, after)), split.y) if extra else split


@dataclass(kw_only=True)
class Gray28Set(TorchvisionSet):
    """Base of the 28x28 sets, zero-padded since the shared networks halve the image down to 2x2.

    Attributes:
        image_size: Height and width after padding, at least 28.
    """

    image_size: Annotated[int, Field(ge=28)] = 32

    @property
    def _size(self) -> int:
        return self.image_size


def _idx_files(folder: str) -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/raw/{part}-{kind}" for part in ("train", "t10k") for kind in kinds)


class MNIST(Gray28Set):
    """Handwritten digits; never flipped, since mirrored digits are not digits."""

    info = SetInfo("mnist", "MNIST", (1, 28, 28), DIGITS, _idx_files("MNIST"))


class FashionMNIST(Gray28Set):
    """Garments; never flipped, since all shoes point to the same side."""

    info = SetInfo(
        "fashion_mnist", "FashionMNIST", (1, 28, 28), GARMENTS, _idx_files("FashionMNIST")
    )


class SVHN(TorchvisionSet):
    """House numbers, label 0 for the digit 0; never flipped, and `extra` is not used."""

    info = SetInfo(
        "svhn",
        "SVHN",
        (3, 32, 32),
        DIGITS,
        ("train_32x32.mat", "test_32x32.mat"),
        ({"split": "train"}, {"split": "test"}),
    )


class CIFAR10(TorchvisionSet):
    """Photographs in ten classes; flipped, as is usual."""

    info = SetInfo(
        "cifar10",
        "CIFAR10",
        (3, 32, 32),
        CIFAR10_CLASSES,
        ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"),
        flip=True,
    )


class CIFAR100(TorchvisionSet):
    """Photographs in a hundred classes, with the fine labels; flipped, as is usual."""

    info = SetInfo(
        "cifar100",
        "CIFAR100",
        (3, 32, 32),
        CIFAR100_CLASSES,
        ("cifar-100-python/train", "cifar-100-python/test"),
        flip=True,
    )
