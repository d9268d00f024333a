"""Reading and writing `.npz` files of image sets.

Files may be compressed or not, written here or put there by hand, so everything is checked on
the way in. Ours are not compressed, because they are read at every start.
"""

import contextlib
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

from bench.data.arrays import Array, Arrays, check, flat_labels
from bench.errors import BenchError, DataMissing

_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read(path: Path, classes: int | None = None) -> Arrays:
    """Read and check a file.

    Args:
        path: The `.npz`.
        classes: Number of classes, to check the labels against, or None.

    Returns:
        The arrays, labels flattened to `[N]`.

    Raises:
        DataMissing: If there is no such file.
        BenchError: If it is damaged or holds something else; the text names file and array.
    """
    with _opened(path) as npz:
        keys = [key for key in Arrays._fields if key in npz or key not in Arrays._field_defaults]
        arrays = _flat(Arrays(**{key: _array(path, npz, key) for key in keys}))
    check(path, arrays, classes)
    return arrays


def peek(path: Path) -> Arrays:
    """Read the training labels and the shape of the images, but no image.

    Args:
        path: The `.npz`.

    Returns:
        The training part, whose images have the shape of those in the file, and no memory.

    Raises:
        DataMissing: If there is no such file.
        BenchError: If it is damaged or holds something else.
    """
    with _opened(path) as npz:
        y = _array(path, npz, "y_train")
        attributes = _array(path, npz, "attributes") if "attributes" in npz else None
        shape, dtype = _head(path, npz, "x_train")
    # All images stand for one zero, so the checks run without their memory.
    x = np.broadcast_to(np.zeros((), dtype), shape)
    arrays = _flat(Arrays(x, y, attributes=attributes))
    check(path, arrays)
    return arrays


def read_arrays(path: Path, *keys: str) -> list[Array]:
    """Read some arrays of a file, whatever they are.

    Args:
        path: The `.npz`.
        *keys: Their names.

    Returns:
        The arrays, in the order of the names.

    Raises:
        DataMissing: If there is no such file.
        BenchError: If it is damaged, or lacks one of them.
    """
    with _opened(path, keys) as npz:
        return [_array(path, npz, key) for key in keys]


def write(path: Path, arrays: Arrays) -> None:
    """Write a file so that no reader ever sees a part of it.

    Args:
        path: Where; its folder is made.
        arrays: What to write.

    Raises:
        BenchError: If the folder cannot be written to.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            np.savez(file, **{k: v for k, v in arrays._asdict().items() if v is not None})
        os.replace(part, path)
    except OSError as error:
        raise BenchError(
            f"cannot write {path}: {error}; set BENCH_DATA to a folder that can be written to"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _flat(arrays: Arrays) -> Arrays:
    if arrays.attributes is not None:
        return arrays
    labels = {"y_train": arrays.y_train, "y_test": arrays.y_test}
    return arrays._replace(**{key: flat_labels(y) for key, y in labels.items() if y is not None})


@contextlib.contextmanager
def _opened(path: Path, keys: Sequence[str] = Arrays._fields[:4]) -> Iterator[NpzFile]:
    if not path.is_file():
        raise DataMissing(f"there is no file {path}")
    with path.open("rb") as file:  # np.load leaves the file open where it fails
        try:
            npz = np.load(file, allow_pickle=False)
        except _UNREADABLE as error:
            raise BenchError(f"{path}: not an .npz file, or damaged ({error})") from error
        if not isinstance(npz, NpzFile):
            raise BenchError(f"{path}: holds one bare array, not {', '.join(keys)}")
        yield npz


@contextlib.contextmanager
def _reading(path: Path, npz: NpzFile, key: str) -> Iterator[None]:
    if key not in npz:
        raise BenchError(f"{path}: has no array {key}, only {', '.join(npz.files) or 'nothing'}")
    try:
        yield
    except _UNREADABLE as error:
        raise BenchError(f"{path}: {key} is damaged and cannot be read ({error})") from error


def _array(path: Path, npz: NpzFile, key: str) -> Array:
    with _reading(path, npz, key):
        array: Array = npz[key]
    return array


def _head(path: Path, npz: NpzFile, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with (
        _reading(path, npz, key),
        zipfile.ZipFile(path) as archive,
        archive.open(f"{key}.npy") as member,
    ):
        is_first = npy.read_magic(member) == (1, 0)
        read_header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
        shape, _, dtype = read_header(member)
    return shape, dtype
