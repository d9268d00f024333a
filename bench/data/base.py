"""The interface of data sets: shape, splits, fingerprint, batches.

A `Source` knows its shape before anything is loaded, so a sweep can be checked on a machine that
does not have the data.
"""

import hashlib
import math
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from bench.data.class_names import check_classes
from bench.data.tensor_checks import checked_tensor, describe_value
from bench.errors import BenchError, DataMissing

DIM = 64
"""Images none of whose pixels reaches this are taken to be of another range than 0 to 255."""


@dataclass(frozen=True)
class DataSpec:
    """The shape of a data set: everything that a model needs to build its networks.

    Where images carry several binary labels, a class is a combination of their values: models
    that are made for attributes see the attributes, all others and all metrics the combination.

    Attributes:
        name: Name in the registry, for messages and table headers.
        shape: `(C, H, W)` of an image, `(2,)` for points of the plane, or `(3,)` of space.
        class_names: One name per class, in the order of the labels.
        attributes: Names of the `A` binary attributes; none where an image has one label.
        combinations: For each class, the value 0 or 1 of each attribute.

    Raises:
        BenchError: If shape or names are of another type, a name cannot be shown in one line, two
            classes or attributes look the same, or combinations do not fit these or repeat.
    """

    name: str
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    combinations: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        sizes = self.shape if isinstance(self.shape, tuple) else ()
        if len(sizes) not in (1, 3) or not all(type(n) is int and n > 0 for n in sizes):
            allowed = "a tuple (C, H, W) for images, or (D,) for points"
            raise BenchError(f"{self.name!r}: the shape must be {allowed}, got {self.shape!r}")
        check_classes(self.name, self.class_names, self.attributes, self.combinations)

    @property
    def classes(self) -> int:
        """Number of classes, `K`."""
        return len(self.class_names)

    def attributes_of(self, y: Tensor) -> Tensor:
        """Return the attributes of examples.

        Args:
            y: Classes `[B]`; -1 where there is no label.

        Returns:
            `int64` `[B, A]`, 0 or 1; -1 for examples without label.

        Examples:
            >>> spec = DataSpec("set", (2,), ("neither", "a and b"), ("a", "b"), ((0, 0), (1, 1)))
            >>> spec.attributes_of(torch.tensor([1, -1])).tolist()
            [[1, 1], [-1, -1]]
        """
        unknown = (-1,) * len(self.attributes)  # the last entry, which index -1 takes
        return torch.tensor((*self.combinations, unknown), device=y.device)[y]

    @property
    def is_image(self) -> bool:
        """Whether an example is an image rather than a point."""
        return len(self.shape) == 3

    @property
    def is_small(self) -> bool:
        """Whether these are points, or images of up to 16 pixels per side."""
        # Their networks are bound by the number of operations: a second CPU thread gains little,
        # and loses much where another program wants its core.
        return max(self.shape[-2:]) <= 16


@dataclass(frozen=True)
class Split:
    """Examples and their labels.

    Attributes:
        x: `uint8` `[N, C, H, W]`, or `float32` `[N, D]` for points.
        y: `int64` `[N]`, in `[0, K)`.
        landmarks: `float32` `[N, 5, 2]`, `x, y` of the points `bench.data.files.arrays.POINTS` in
            pixels from the left and upper edge of the image; None where they are not known.
    """

    x: Tensor
    y: Tensor
    landmarks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: Tensor) -> "Split":
        """Return the examples of some indices or of a mask `[N]`."""
        landmarks = None if self.landmarks is None else self.landmarks[which]
        return Split(self.x[which], self.y[which], landmarks)


@dataclass(frozen=True)
class DataSet:
    """Three disjoint splits of one data set.

    Attributes:
        spec: The shape.
        train: For training, of models and of the domain classifier.
        validation: For tuning and selection; may be empty.
        test: For tables; no training or tuning ever sees it.
        flip: Whether training images are flipped left to right at random.
        fingerprint: SHA-256 over the bytes of all splits, 64 hexadecimal digits.
        unlabeled: Further training examples without label `[N, ...]`, from another data set.
        unlabeled_fingerprint: The fingerprint of that data set.
        notices: What a user of the data should know, such as files that were left out.

    Raises:
        BenchError: If examples or labels do not fit the shape, there are none for training or for
            tests, a fingerprint is missing, or notices are something else than texts.
    """

    spec: DataSpec
    train: Split
    validation: Split
    test: Split
    flip: bool
    fingerprint: str
    unlabeled: Tensor | None = None
    unlabeled_fingerprint: str = ""
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name, prints = self.spec.name, {"fingerprint": self.fingerprint}
        for key, what in (("train", "training"), ("validation", "validation"), ("test", "test")):
            split = getattr(self, key)
            if not isinstance(split, Split):
                raise BenchError(f"{key} of {name} must be a Split, got {describe_value(split)}")
            check_examples(split.x, split.y, self.spec, f"{what} examples")
            if split.landmarks is not None:
                axes = (len(split), 5, 2)
                checked_tensor(
                    split.landmarks, torch.float32, axes, f"landmarks of {key} of {name}"
                )
            if not len(split) and key != "validation":
                raise BenchError(f"{name} has no {what} examples")
        if self.unlabeled is not None:
            _checked_inputs(self.unlabeled, self.spec, "unlabeled examples")
            prints["unlabeled_fingerprint"] = self.unlabeled_fingerprint
        for key, found in prints.items():  # without one, other data would be taken for the same
            if not (isinstance(found, str) and re.fullmatch("[0-9a-f]{64}", found)):
                raise BenchError(
                    f"the {key} of {name} must be 64 hexadecimal digits, got {found!r}; "
                    "bench.data.base.fingerprint(train, validation, test) returns them"
                )

        texts: object = self.notices
        if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
            remedy = "; (text,) makes a tuple of one text" if isinstance(texts, str) else ""
            raise BenchError(f"notices of {name} must be a tuple of texts, got {texts!r}{remedy}")

    @property
    def fingerprints(self) -> str:
        """The fingerprints of all data that a run uses, joined by `+`."""
        return "+".join(filter(None, (self.fingerprint, self.unlabeled_fingerprint)))


class Batch(NamedTuple):
    """One draw from the training stream.

    Attributes:
        x: `float32` `[B, C, H, W]` in `[-1, 1]`, or `[B, D]` for points.
        y: `int64` `[B]`; -1 for examples without label. For a model with the capability
            `attributes`, on data that has them, `[B, A]` with 0, 1 or -1.
        labeled: Number of leading examples that carry a label, the same for every batch of a run.
            Less than `B` only for a model with the capability `semi-supervised`.
    """

    x: Tensor
    y: Tensor
    labeled: int


class Source(ABC):
    """A data set that can be loaded; the registered classes are subclasses.

    A subclass takes its options as annotated keyword arguments of `__init__`, against which the
    options in a sweep are checked. A dataclass whose fields are the options is the shortest form.

    Attributes:
        later_options: Options added later. At their default they are left out of the configuration,
            so ids of existing runs do not change.
    """

    later_options: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def spec(self) -> DataSpec:
        """The shape, known without loading; may raise `DataMissing` for folders and files."""

    @abstractmethod
    def load(self) -> DataSet:
        """Read, check and split the data.

        Returns:
            The splits, on the CPU.

        Raises:
            DataMissing: If the files are not there.
        """

    def checked_spec(self) -> DataSpec:
        """Return the shape; a `BenchError` if the class gives something else."""
        spec: object = self.spec
        if not isinstance(spec, DataSpec):
            name = type(self).__name__
            raise BenchError(f"{name}.spec must be a DataSpec, got {describe_value(spec)}")
        return spec

    def missing(self) -> str | None:
        """Return why `load` would fail because files are missing; None if it would not."""
        try:
            _ = self.spec
        except DataMissing as error:
            return str(error)
        return None

    def describe_files(self) -> dict[str, Any]:
        """Return what the user's own files are, for `bench data`, as plain data."""
        return {}


def load_data(source: Source) -> DataSet:
    """Load a data set; a `BenchError` if its class returns none, or another than it promised."""
    name, data = type(source).__name__, source.load()
    if not isinstance(data, DataSet):
        raise BenchError(f"{name}.load() must return a DataSet, got {describe_value(data)}")
    promised, loaded = vars(source.checked_spec()), vars(data.spec)
    for key in promised:
        if loaded[key] != promised[key]:
            raise BenchError(
                f"{name}.load() must return data of its `spec`, whose {key} is {promised[key]!r}; "
                f"that of the loaded data is {loaded[key]!r}"
            )
    return data


def check_examples(x: object, y: object, spec: DataSpec, what: str) -> None:
    """Raise a `BenchError` unless `x` and `y` are examples of a data set, if any, and their labels.

    `what` names the examples in messages.
    """
    count = len(_checked_inputs(x, spec, what))
    labels = checked_tensor(y, torch.int64, (count,), f"labels of {what} of {spec.name}")
    low, high = (int(label) for label in labels.aminmax()) if count else (0, 0)
    if not 0 <= low <= high < spec.classes:
        remedy = "; y - 1 begins at 0" if (low, high) == (1, spec.classes) else ""
        raise BenchError(
            f"labels of {what} of {spec.name} must lie in [0, {spec.classes}), got labels from "
            f"{low} to {high}{remedy}"
        )


def _checked_inputs(x: object, spec: DataSpec, what: str) -> Tensor:
    """Return examples, which are images or finite points of a data set."""
    dtype, text = (torch.uint8 if spec.is_image else torch.float32), f"{what} of {spec.name}"
    found = checked_tensor(x, dtype, ("N", *spec.shape), text)
    if not spec.is_image and not bool(torch.isfinite(found).all()):
        raise BenchError(f"{text} contain values that are not finite")
    return found


def data_root() -> Path:
    """Return the folder of the decoded data sets: `$BENCH_DATA`, or `~/.cache/bench`."""
    return home_path(os.environ.get("BENCH_DATA") or "~/.cache/bench")


def is_offline() -> bool:
    """Return whether `BENCH_OFFLINE` forbids downloads."""
    return os.environ.get("BENCH_OFFLINE", "0") not in ("", "0")


def made_data_root() -> Path:
    """Return the folder of decoded data sets, made if need be; refuse one that cannot be."""
    root = data_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"cannot make the folder {root} for decoded data and classifiers: {error.strerror}; "
            "set BENCH_DATA to a folder that can be written to"
        ) from error
    return root


def home_path(path: str) -> Path:
    """Return a path in which `~` is the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BenchError(
            f"the home folder of {path} is not known: set HOME, or give a path without ~ "
            "(BENCH_DATA is the folder of decoded data)"
        ) from error


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 over shapes, types and bytes of splits, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    tensors = (t for split in splits for t in (split.x, split.y, split.landmarks))
    for tensor in filter(torch.is_tensor, tensors):
        array = tensor.contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


LEVELS = torch.arange(256).float().div_(127.5).sub_(1)
"""What networks see of each stored level, `[256]`. A table, since CUDA multiplies by the reciprocal
where a CPU divides, which gives other bits for 111 of the levels."""


def to_float(x: Tensor, levels: Tensor = LEVELS) -> Tensor:
    """Map stored examples to what networks see.

    Args:
        x: `uint8` images, or `float32` points.
        levels: `LEVELS`, on the device of `x` if that must not wait for a copy of the table.

    Returns:
        `float32`, images in `[-1, 1]`; points unchanged. The same bits on every device.
    """
    if x.dtype != torch.uint8:
        return x
    return levels.to(x.device).index_select(0, x.int().flatten()).view(x.shape)


ROUNDING = 1 / 127.5
"""How far images may lie outside of `[-1, 1]`: one 8-bit level, about the precision of bfloat16."""


def to_bytes(x: Tensor, what: str = "images") -> Tensor:
    """Map what networks produce to what is stored: the inverse of `to_float`.

    Args:
        x: `float32` images in `[-1, 1]`, or points `[N, D]`.
        what: The name of `x` in messages.

    Returns:
        `uint8` images, rounded to the nearest level; points unchanged.

    Raises:
        BenchError: If values are not finite, or images lie outside of `[-1, 1]` by more than
            `ROUNDING`.
    """
    low, high = torch.stack(x.aminmax()).tolist()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BenchError(f"{what} contain values that are not finite")
    if x.ndim == 2:
        return x
    if low < -1 - ROUNDING or high > 1 + ROUNDING:
        as_bytes = low >= 0 and high > 16
        remedy = "x / 127.5 - 1 maps [0, 255] there" if as_bytes else "a tanh ends there"
        raise BenchError(f"{what} range from {low:.3g} to {high:.3g}, not in [-1, 1]; {remedy}")
    return x.add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
