"""Reading and writing `.npz` files of image sets.

Files may be put there by hand, so everything is checked when they are read. Ours are not
compressed, because they are read at every start.
"""

import contextlib
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

from bench.data.files.arrays import (
    Array,
    Arrays,
    check_arrays,
    flatten_labels,
    refuse_too_large,
    refuse_zeros_and_ones,
)
from bench.errors import BenchError, DataMissing, nearest

_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, KeyError, BadZipFile, zlib.error)


def read(path: Path, classes: int | None = None) -> Arrays:
    """Read and check an image set; labels must be below `classes` where that is given."""
    with _open(path) as npz:
        keys = [key for key in Arrays._fields if key in npz or key not in Arrays._field_defaults]
        arrays = Arrays(**{key: _array(path, npz, key) for key in keys})
    arrays = _checked(path, arrays, classes)
    refuse_zeros_and_ones(path, "x_train", arrays.x_train)
    return arrays


def read_head(path: Path) -> Arrays:
    """Read the training labels; the images are zeros of the right shape that take no memory."""
    with _open(path) as npz:
        y = _array(path, npz, "y_train")
        attributes = _array(path, npz, "attributes") if "attributes" in npz else None
        shape, dtype = _header(path, npz, "x_train")
        if dtype == np.uint8:
            x: Array = np.broadcast_to(np.zeros((), dtype), shape)
        else:
            x = _array(path, npz, "x_train")  # so that the error can say its range
    return _checked(path, Arrays(x, y, attributes=attributes))


def read_labels(path: Path) -> Arrays:
    """Read the labels of an image set and the names of attributes, unchecked, without images."""
    with _open(path) as npz:
        keys = [key for key in ("y_train", "y_test", "attributes") if key in npz]
        return Arrays(np.empty(0), **{key: _array(path, npz, key) for key in keys})


def read_arrays(path: Path, *keys: str) -> list[Array]:
    """Read the arrays of these names, unchecked."""
    with _open(path, keys) as npz:
        return [_array(path, npz, key) for key in keys]


def array_names(path: Path, *expected: str) -> list[str]:
    """Return the names of the arrays of a file; `expected` are named where it is no such file."""
    with _open(path, expected) as npz:
        return list(npz.files)


def unread_names(path: Path) -> list[str]:
    """Return the names of arrays that are not read; refuse one that seems to be misspelled."""
    with _open(path) as npz:
        unread = [name for name in npz.files if name not in Arrays._fields]
        absent = [key for key in Arrays._fields if key not in npz]
    for name in unread:
        if near := nearest(name.lower(), absent, likeness=0.8):
            raise BenchError(f"{path}: has an array {name}, which is not read; is {near} meant?")
    return unread


def write(path: Path, arrays: Arrays, **further: Array) -> None:
    """Write a file, in a folder that is made for it; no reader ever sees a part of it.

    `further` arrays are for `read_arrays`; they are no part of the image set.
    """
    given: dict[str, Any] = {k: v for k, v in arrays._asdict().items() if v is not None}
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            np.savez(file, **given | further)
        os.replace(part, path)
    except OSError as error:
        raise BenchError(
            f"cannot write {path}: {error}; set BENCH_DATA to a folder that can be written to"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _checked(path: Path, arrays: Arrays, classes: int | None = None) -> Arrays:
    if arrays.attributes is None:
        labels = {key: getattr(arrays, key) for key in ("y_train", "y_test")}
        flat = {key: flatten_labels(y) for key, y in labels.items() if y is not None}
        arrays = arrays._replace(**flat)
    check_arrays(path, arrays, classes)
    return arrays


@contextlib.contextmanager
def _open(path: Path, keys: tuple[str, ...] = Arrays._fields[:4]) -> Iterator[NpzFile]:
    if not path.is_file():
        raise DataMissing(f"there is no file {path}")
    with path.open("rb") as file:  # np.load leaves the file open where it fails
        try:
            npz = np.load(file, allow_pickle=False)
        except _UNREADABLE as error:
            # what numpy says of other files is advice to run them as a program
            reason = "" if "allow_pickle" in str(error) else f" ({error})"
            raise BenchError(f"{path}: not an .npz file, or damaged{reason}") from error
        if not isinstance(npz, NpzFile):
            raise BenchError(f"{path}: holds one bare array, not {', '.join(keys)}")
        yield npz


@contextlib.contextmanager
def _reading(path: Path, npz: NpzFile, key: str) -> Iterator[None]:
    if key not in npz:
        others = [name for name in npz.files if name not in Arrays._fields]
        near = nearest(key, others)
        hint = f" (did you mean {near!r}?)" if near else ""
        names = ", ".join(npz.files) or "nothing"
        raise BenchError(f"{path}: has no array {key}, only {names}{hint}")
    try:
        yield
    except _UNREADABLE as error:
        raise BenchError(f"{path}: {key} is damaged and cannot be read ({error})") from error


def _array(path: Path, npz: NpzFile, key: str) -> Array:
    refuse_too_large(path, *_header(path, npz, key))
    with _reading(path, npz, key):
        return np.asarray(npz[key])


def _header(path: Path, npz: NpzFile, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array; refuse one of objects, which are programs."""
    with (
        _reading(path, npz, key),
        zipfile.ZipFile(path) as archive,
        archive.open(f"{key}.npy") as member,
    ):
        is_first = npy.read_magic(member) == (1, 0)
        read_header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
        shape, _, dtype = read_header(member)
    if dtype.hasobject:
        raise BenchError(
            f"{path}: {key} holds Python objects, {list(shape)}, which are not read; make it an "
            "array of numbers: images of one size, stacked"
        )
    return shape, dtype
