"""The arrays of a decoded image set in the layout of Keras, and checks of them.

Arrays may come from any file, so messages begin with its path and name the array.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench.data.base import DIM, Split
from bench.errors import BenchError

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
"""The landmarks of a face; left and right are those of the picture."""

Array = np.ndarray[Any, Any]
BYTES = np.dtype(np.uint8)


class Arrays(NamedTuple):
    """A decoded image set.

    Attributes:
        x_train: `uint8` `[N, H, W]` or `[N, H, W, C]`.
        y_train: Integers `[N]`, from 0; `[N, A]`, 0 or 1, where there are attributes.
        x_test: Like `x_train`; None where there is no official test split.
        y_test: Like `y_train`, or None.
        attributes: Names of binary attributes `[A]`; None where an image has one label.
        landmarks_train: Numbers `[N, 5, 2]`, as in `Split`; None where they are not known.
        landmarks_test: Like `landmarks_train`.
    """

    x_train: Array
    y_train: Array
    x_test: Array | None = None
    y_test: Array | None = None
    attributes: Array | None = None
    landmarks_train: Array | None = None
    landmarks_test: Array | None = None

    def combined(self, names: Sequence[str], combinations: Sequence[Sequence[int]]) -> "Arrays":
        """Replace the attributes by one label: the index of an image's combination of those named.

        A combination has the value 0 or 1 of each; images of other combinations get -1.
        """
        powers = 2 ** np.arange(len(names))
        known = np.array(combinations) @ powers
        order = np.argsort(known)

        def labels(y: Array) -> Array:
            codes = y.astype(np.int64) @ powers
            nearest = order[np.searchsorted(known, codes, sorter=order).clip(max=len(order) - 1)]
            return np.where(known[nearest] == codes, nearest, -1)

        y_train, y_test = (y if y is None else labels(y) for y in self.values_of(names))
        assert y_train is not None
        return self._replace(y_train=y_train, y_test=y_test, attributes=None)

    def values_of(self, names: Sequence[str]) -> tuple[Array, Array | None]:
        """Return the values `[N, A]` of the attributes of these names, of either split."""
        assert self.attributes is not None
        columns = [list(self.attributes).index(name) for name in names]
        return self.y_train[:, columns], None if self.y_test is None else self.y_test[:, columns]

    def without_unlabeled(self) -> tuple["Arrays", int]:
        """Return the images with a label, and the number of the others, whose label is -1."""
        kept, left_out = self, 0
        for part in ("train", "test"):
            y = getattr(self, f"y_{part}")
            if y is None:
                continue
            of_part = {f"{name}_{part}" for name in ("x", "y", "landmarks")}
            given = {name: getattr(self, name) for name in of_part}
            mask = y >= 0
            kept = kept._replace(**{k: v[mask] for k, v in given.items() if v is not None})
            left_out += int((~mask).sum())
        return kept, left_out

    def splits(self) -> tuple[Split, Split | None]:
        """Return the training and the test examples, the latter None where there are none."""
        train = _to_split(self.x_train, self.y_train, self.landmarks_train)
        if self.x_test is None or self.y_test is None:
            return train, None
        return train, _to_split(self.x_test, self.y_test, self.landmarks_test)


def check_arrays(path: Path, arrays: Arrays, classes: int | None = None) -> None:
    """Refuse arrays whose types, shapes, counts or labels are wrong.

    Labels must be below `classes`, by default the highest training label plus 1.
    """
    if (arrays.x_test is None) != (arrays.y_test is None):
        raise BenchError(f"{path}: holds only one of x_test and y_test; both or none are needed")
    known = [arrays.landmarks_train is not None, arrays.landmarks_test is not None]
    if any(known) and known != [True, arrays.x_test is not None]:
        raise BenchError(f"{path}: landmarks are needed for all images, of training and test")
    shape = image_shape(path, "x_train", arrays.x_train)
    for part in ("train", "test"):
        x, y = getattr(arrays, f"x_{part}"), getattr(arrays, f"y_{part}")
        if x is None:
            continue
        if image_shape(path, f"x_{part}", x) != shape:
            raise BenchError(
                f"{path}: images are {list(x.shape[1:])} in x_{part}, but "
                f"{list(arrays.x_train.shape[1:])} in x_train"
            )
        if (points := getattr(arrays, f"landmarks_{part}")) is not None:
            _check_landmarks(path, f"landmarks_{part}", points, x)
        if not y.ndim:
            check_integers(path, f"y_{part}", y)
        if len(x) != len(y):
            raise BenchError(f"{path}: x_{part} has {len(x)} images, y_{part} has {len(y)} labels")
        if arrays.attributes is not None:
            _check_attributes(path, f"y_{part}", y, arrays.attributes)
            continue
        check_integers(path, f"y_{part}", y)
        classes = classes or int(y.max()) + 1
        if y.min() < 0 or y.max() >= classes:
            raise BenchError(
                f"{path}: y_{part} holds labels from {y.min()} to {y.max()}; with {classes} "
                f"classes they are 0 to {classes - 1}"
            )


def check_integers(path: Path, key: str, y: Array) -> None:
    """Refuse labels that are not integers `[N]`, and say how to make them so."""
    if y.ndim == 1 and np.issubdtype(y.dtype, np.integer):
        return
    remedy = ""
    if y.ndim == 2 and y.dtype.kind in "biuf":
        remedy = f"; one-hot labels are integers by {key}.argmax(axis=1)"
    elif y.ndim == 1 and y.dtype.kind in "fb":
        remedy = f"; {key}.astype(int) makes them so, if they are whole numbers"
    elif y.ndim == 1:
        remedy = (
            f"; where `names` lists the classes in the order of the data set, they are "
            f"[names.index(name) for name in {key}]"
        )
    raise BenchError(f"{path}: {key} must be integers [N], got {y.dtype} {list(y.shape)}{remedy}")


def image_shape(path: Path, key: str, x: Array) -> tuple[int, int, int]:
    """Return the shape `(C, H, W)` of the images of an array; refuse arrays of anything else."""
    if x.dtype != np.uint8:
        raise BenchError(
            f"{path}: {key} has dtype {x.dtype}, expected uint8 (0 to 255){_as_bytes(key, x)}"
        )
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)):
        is_channels_first = x.ndim == 4 and x.shape[1] in (1, 3)
        remedy = f"; {key}.transpose(0, 2, 3, 1) puts them there" if is_channels_first else ""
        raise BenchError(
            f"{path}: {key} must be [N, H, W], or [N, H, W, C] with 1 or 3 channels in the last "
            f"place, got {list(x.shape)}{remedy}"
        )
    if math.prod(x.shape) == 0:
        raise BenchError(f"{path}: {key} is empty, {list(x.shape)}")
    return (x.shape[3] if x.ndim == 4 else 1), x.shape[1], x.shape[2]


def _as_bytes(key: str, x: Array) -> str:
    """Return the range of an array, and how to make bytes of it."""
    if x.dtype.kind not in "biuf" or not x.size:
        return ""
    low, high = float(x.min()), float(x.max())
    ranges = {(0, 1): f"255 * {key}", (-1, 1): f"127.5 * {key} + 127.5", (0, 255): key}
    levels = [level for (a, b), level in ranges.items() if a <= low <= high <= b]
    remedy = f"; np.rint({levels[0]}).astype(np.uint8) makes it so" if levels else ""
    if levels[:1] == [key] and high < DIM:
        remedy = f"; scale it to 0 to 255, then .astype(np.uint8), if {high:.3g} is white"
    return f", and ranges from {low:.3g} to {high:.3g}{remedy}"


def refuse_zeros_and_ones(path: Path, key: str, x: Array) -> None:
    """Refuse bytes that are only 0 or 1, as images in [0, 1] become where they are cast."""
    if x.dtype == np.uint8 and x.max() == 1:
        raise BenchError(
            f"{path}: {key} holds only 0 and 1, which is black; images are 0 to 255 (were they in "
            f"[0, 1] before they became uint8? then np.rint(255 * {key}) first)"
        )


def refuse_too_large(path: Path, shape: Sequence[int], dtype: np.dtype[Any] = BYTES) -> None:
    """Refuse an array that does not fit into the memory of this machine."""
    size = math.prod(shape) * dtype.itemsize
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise BenchError(
            f"{path}: an array of {list(shape)} takes {size / 2**30:.1f} GiB, but this machine has "
            f"{memory / 2**30:.1f} GiB of memory"
        )


def flatten_labels(y: Array) -> Array:
    """Return labels as `[N]` where they are a column `[N, 1]`, as Keras stores those of CIFAR."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _check_attributes(path: Path, key: str, y: Array, names: Array) -> None:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise BenchError(
            f"{path}: attributes must be names [A], got {names.dtype} {list(names.shape)}"
        )
    if y.shape[1:] != names.shape or not np.isin(y, (0, 1)).all():
        raise BenchError(
            f"{path}: {key} must be 0 or 1 [N, {len(names)}], a column for each of the attributes, "
            f"got {y.dtype} {list(y.shape)} from {y.min()} to {y.max()}"
        )


def _check_landmarks(path: Path, key: str, points: Array, x: Array) -> None:
    """Refuse landmarks that are not numbers `[N, 5, 2]` inside of the images `[N, H, W, ...]`."""
    if points.dtype.kind not in "iuf" or points.shape != (len(x), len(POINTS), 2):
        raise BenchError(
            f"{path}: {key} must be numbers {[len(x), len(POINTS), 2]}, x and y of "
            f"{', '.join(POINTS)}, got {points.dtype} {list(points.shape)}"
        )
    inside = (points >= 0) & (points <= [x.shape[2], x.shape[1]])  # false for nan
    if not inside.all():
        image, point, _ = np.argwhere(~inside)[0]
        raise BenchError(
            f"{path}: {key} has {POINTS[point]} at {points[image, point].tolist()} in image "
            f"{image}, outside of its {x.shape[2]}x{x.shape[1]} pixels"
        )


def _to_split(x: Array, y: Array, landmarks: Array | None) -> Split:
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    points = None if landmarks is None else torch.from_numpy(landmarks.astype(np.float32))
    images, labels = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(y.astype(np.int64))
    return Split(images, labels, points)
