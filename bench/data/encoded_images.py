"""The base of sources that hold image files and labels, though not in folders of classes.

Images are decoded once, as those of a folder are, into an `.npz` file in the data folder. It holds
the names of the classes too, so a machine with that file needs nothing else.
"""

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal

import numpy as np

from bench.data.base import DataSet, DataSpec, Source, data_root
from bench.data.class_names import check_attributes, in_order
from bench.data.files import npz_files
from bench.data.files.arrays import Array, Arrays, refuse_too_large
from bench.data.files.image_files import (
    Color,
    Head,
    ImageFile,
    decode_image,
    describe_heads,
    image_head,
    in_threads,
)
from bench.data.npz import StoredSetOptions
from bench.errors import BenchError, DataMissing, SpecError, first_few, value_text
from bench.record.sweep_folder import name_of_path
from bench.spec.run_settings import AtLeastOne

VERSION = 1  # of the decoding; part of the names of decoded files
LONGEST_NAME = 200  # characters
NAMED = 3  # examples or classes in a message


@dataclass(frozen=True)
class EncodedSplit:
    """The examples of one split as files hold them.

    Attributes:
        labels: Column of labels -> what it holds for each example.
        name_of: What an example is called in messages, by its number.
        images: Opens the images of the examples, in the order of the labels.
        class_names: Names that integers stand for; None where the labels are names themselves.
        paths: Names that examples of a class are ordered by; None where they stay as they come.
    """

    labels: Mapping[str, Sequence[object]]
    name_of: Callable[[int], str]
    images: Callable[[], Iterable[ImageFile]]
    class_names: Sequence[str] | None = None
    paths: Sequence[PurePath] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))


@dataclass(frozen=True)
class EncodedImages:
    """What a source has found, before any image is decoded.

    Attributes:
        train: The examples to train on.
        test: The official test examples; None where there are none.
        notices: What the user should know.
    """

    train: EncodedSplit
    test: EncodedSplit | None
    notices: tuple[str, ...] = ()


@dataclass(kw_only=True)
class EncodedSet(StoredSetOptions, Source):
    """Image files with labels. Classes are in the order of numbers or texts, as those of a folder.

    Examples are ordered by their class, so that the same images are the same data here and in a
    folder. The other options are those of `SplitOptions`, `HeldOutTestOptions` and
    `StoredSetOptions`.

    Attributes:
        path: Where the images are.
        image_size: Height and width after the resize.
        channels: 3 for color, 1 for gray.
        crop: `center` for the largest centered square, `none` to stretch the whole image.
        background: The color that transparent images are laid on, such as `white` or `#808080`;
            they are refused where it is null.
        flip: Whether training batches are flipped left to right at random.
        attributes: Names of columns, or fields, that are 0 or 1, in place of one label.

    Raises:
        SpecError: If the path is empty, or the attributes make no classes.
    """

    path: str
    image_size: AtLeastOne = 64
    channels: Literal[1, 3] = 3
    crop: Literal["center", "none"] = "center"
    background: Color | None = None
    flip: bool = True
    test_per_class: AtLeastOne = 10
    attributes: list[str] | None = None

    origin: ClassVar[str]  # the name of the source, which names of decoded files begin with

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise SpecError("is empty", key="path")
        if self.attributes is not None:
            check_attributes(self.attributes, self.per_combination)

    @abstractmethod
    def identity(self) -> list[Any]:
        """Return plain data that change when the images do; `DataMissing` if they are not there."""

    @abstractmethod
    def open_images(self) -> EncodedImages:
        """Find the examples; a `BenchError` says why they cannot be read."""

    def absent(self) -> str | None:
        """Return why the images cannot be read without a download, or None."""
        return None

    @property
    def full_spec(self) -> DataSpec:
        """The shape. The images are decoded for it where they were not yet and are on this disk."""
        npz = self._decoded()
        if not npz.is_file() and (why := self.absent()):
            raise DataMissing(why)
        return self._spec(npz)

    def load(self) -> DataSet:
        """Decode the images, or read what an earlier call decoded, and split them."""
        npz = self._decoded()
        spec = self._spec(npz)
        data = self.load_stored(npz, spec, flip=self.flip)
        return replace(data, notices=(*_about(npz)["notices"], *data.notices))

    def missing(self) -> str | None:
        """Return why `load` would fail or would have to download, or None where it would not."""
        try:
            return None if self._decoded().is_file() else self.absent()
        except DataMissing as error:
            return str(error)

    def describe_files(self) -> dict[str, Any]:
        """Return what the image files are, by their heads."""
        files: dict[str, Any] = _about(self._decoded())["files"]
        return files

    def _decoded(self) -> Path:
        """Return the path of the decoded images, which are there after the first use."""
        content = [VERSION, self.origin, self.identity(), self.image_size, self.channels]
        content += [self.crop, self.background, self.attributes]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        return data_root() / f"{self.origin}-{self._name[:40]}-{key}.npz"

    @property
    def _name(self) -> str:
        return name_of_path(self.path).strip(".") or Path(self.path).resolve().name

    def _spec(self, npz: Path) -> DataSpec:
        if not npz.is_file():
            self._decode(npz)
        names = () if self.attributes else npz_files.read_arrays(npz, "class_names")[0].tolist()
        return self.stored_spec(npz, self._name, names)

    def _decode(self, npz: Path) -> None:
        """Write the decoded images, the names of their classes, and what to say of them."""
        found = self.open_images()
        parts = {"train": found.train}
        if found.test is not None:
            parts["test"] = found.test
        for name, part in parts.items():
            if not len(part):
                raise BenchError(f"{self.path}: there are no {name} images")
        notices = [*found.notices]
        values = {f"y_{name}": self._values(name, part) for name, part in parts.items()}
        further: dict[str, Array] = {}
        if not self.attributes:
            names = self._class_names(values, found.train.class_names, notices)
            further["class_names"] = np.array(names)
            # refuses names that cannot be shown, before anything is decoded
            DataSpec(self._name, (self.channels,), tuple(self.class_names or names))
            numbers = {name: number for number, name in enumerate(names)}
            values = {key: [numbers[v] for v in column] for key, column in values.items()}
        heads: list[Head] = []
        arrays: dict[str, Array] = {}
        for name, part in parts.items():
            y = np.array(values[f"y_{name}"], np.int64)
            order = _order(y, part.paths)
            arrays[f"y_{name}"] = y[order]
            arrays[f"x_{name}"] = self._decode_split(part, order, heads)
        if self.attributes:
            arrays["attributes"] = np.array(self.attributes)
        about = {"files": describe_heads(heads), "notices": notices}
        npz_files.write(npz, Arrays(**arrays), **further, about=np.array(json.dumps(about)))

    def _decode_split(self, split: EncodedSplit, order: Array, heads: list[Head]) -> Array:
        """Return the images of a split in an order, and append their heads."""
        shape = (len(split), self.image_size, self.image_size, self.channels)
        refuse_too_large(Path(self.path), shape)
        x, place = np.empty(shape, np.uint8), np.argsort(order)

        def fill(item: tuple[int, ImageFile]) -> Head:
            index, file = item
            x[place[index]] = decode_image(
                file, self.image_size, self.channels, self.crop, background=self.background
            )
            return image_head(file)

        of_split = in_threads(fill, enumerate(split.images()))
        if len(of_split) != len(split):
            raise BenchError(f"{self.path}: changed while it was read; begin again")
        heads += of_split
        return x

    def _values(self, part: str, split: EncodedSplit) -> list[Any]:
        """Return the name of each example's class, or the values of its attributes."""
        columns, problems = [], dict[int, str]()
        for column, given in split.labels.items():
            read: list[Any] = []
            for index, value in enumerate(given):
                try:
                    known = split.class_names
                    read.append(_bit(value) if self.attributes else _class_name(value, known))
                except ValueError as error:
                    problems.setdefault(index, f"{column} of {split.name_of(index)} {error}")
            columns.append(read)
        if problems:
            shown = first_few([problems[index] for index in sorted(problems)], NAMED, "; ")
            raise BenchError(
                f"{self.path}: {len(problems)} of {len(split)} {part} examples have no label that "
                f"can be used: {shown}. {BITS if self.attributes else LABELS}"
            )
        return [list(row) for row in zip(*columns, strict=True)] if self.attributes else columns[0]

    def _class_names(
        self, values: Mapping[str, Sequence[str]], known: Sequence[str] | None, notices: list[str]
    ) -> list[str]:
        """Return the names of the classes in their order; refuse splits of different classes."""
        found = [set(column) for column in values.values()]
        if odd := found[0] ^ found[-1]:
            raise BenchError(
                f"{self.path}: train and test have different classes; only one of them has "
                f"{first_few(in_order(odd), NAMED)}"
            )
        if len(found[0]) < 2:
            raise BenchError(f"{self.path}: has one class, {found[0].pop()}; two are needed")
        if known is None:
            return in_order(found[0])
        if unused := [name for name in known if name not in found[0]]:
            notices.append(
                f"{self.path}: left out {len(unused)} names of classes that no image has: "
                f"{first_few(unused, NAMED)}"
            )
        return [name for name in dict.fromkeys(known) if name in found[0]]


LABELS = "A label is a name, or an integer from 0"
BITS = "An attribute is 0 or 1, or false or true"


def files_identity(files: Iterable[Path]) -> list[Any]:
    """Return what tells files from others of the same paths: sizes and times."""
    found = []
    for path in sorted(files):
        stat = path.stat()
        times = stat.st_mtime_ns, stat.st_ctime_ns  # of copies only the former may be the same
        found.append((os.path.abspath(path), stat.st_size, *times))
    return found


def _about(npz: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(npz_files.read_arrays(npz, "about")[0].item())
    return about


def _order(y: Array, paths: Sequence[PurePath] | None) -> Array:
    """Return the indices of examples by their one label, then by path, or else as they come."""
    order = np.arange(len(y))
    if paths is not None:
        order = np.array(sorted(range(len(y)), key=lambda index: paths[index]))
    return order if y.ndim == 2 else order[np.argsort(y[order], kind="stable")]


def _class_name(value: object, known: Sequence[str] | None) -> str:
    """Return the name of a class; a `ValueError` says what is wrong with the label."""
    if value is None or value == "":
        raise ValueError("is missing")
    if isinstance(value, str) and value.strip():
        if len(value) > LONGEST_NAME:
            raise ValueError(f"is {value_text(value)}, too long for a name")
        return value.strip()
    if isinstance(value, bool) and known is None:
        return str(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"is {value_text(value)}")
    if value < 0:
        raise ValueError(f"is {value}, as examples without label have")
    if known is None:
        return str(value)
    if value >= len(known):
        raise ValueError(f"is {value}, but there are {len(known)} names")
    return known[value]


def _bit(value: object) -> int:
    if value in (0, 1):  # and 0.0, False, ...
        return int(value == 1)
    raise ValueError("is missing" if value is None else f"is {value_text(value)}")
