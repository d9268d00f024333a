"""Samples and pictures in the folder of a run, read without the model that made them.

`samples.npz` holds samples, `snapshots/<step>/samples.npz` samples during the training, and
`pictures.npz` what the model does with codes. All images are `uint8` with the channels last, `C` 1
or 3. There are `N` real test images, at most 10, one of each class shown, and `T` steps:

| array | shape | what it shows |
|---|---|---|
| `originals` | `[N, H, W, C]` | the real images, the same for every run on a data set |
| `names` | `[N]` | their classes |
| `label_given` | `[]` | whether the model was given their classes, which it cannot do without |
| `reconstruction` | `[N, H, W, C]` | encoded and decoded |
| `swaps` | `[N, N, H, W, C]` | relevant code of the row's image, irrelevant code of the column's |
| `regions` | `[R]` | names of the hidden regions |
| `corrupted` | `[R, N, H, W, C]` | mid-grey in the region |
| `inpainting` | `[R, N, H, W, C]` | the region filled in by the model |
| `traverse_relevant` | `[N, T, H, W, C]` | a path through the prior of each class; one z_u |
| `traverse_classes` | `[N, T, H, W, C]` | from a class mean to that of the next; one z_u |
| `traverse_irrelevant` | `[N, T, H, W, C]` | a path of z_u, the same for each class mean |
| `dimensions` | `[D, T, H, W, C]` | a dimension of z_u per row, the rest at the prior's mean |
| `dimensions_index` | `[D]` | which dimensions: those that vary most over test images |
| `dimensions_spread` | `[D]` | standard deviation of their posterior means over test images |
| `dimensions_values` | `[T]` | what they are set to, in standard deviations of the prior |
| `walks` | `[A, T, H, W, C]` | an attribute's part of one code, from value 0 to 1 and beyond |
| `walk_names` | `[A]` | which attributes |
| `walk_planes` | `[Q, T, T, H, W, C]` | two attributes: the first from row to row |
| `walk_pairs` | `[Q, 2]` | which two |
| `walk_beyond` | `[]` | how far beyond the prior's means, in its standard deviations |
| `subspaces` | `[L, T, T, H, W, C]` | a label's part of one code over a plane, if it is one |
| `subspace_names` | `[L]` | which attributes, or the class |
| `subspace_margin` | `[]` | of the plane around the prior means, in standard deviations |
| `neighbors` | `[3, E, H, W, C]` | samples, the nearest training images, the nearest test images |
| `neighbors_ratio` | `[E]` | distances by the metric `memorization`: training over test image |
| `missing` | `[M, 2]` | names of arrays that the model cannot make, each with the reason |

Where the label is the relevant code, a row is made with the label of its class.
"""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bench.console import say_left_out
from bench.errors import DamagedRecord, first_line
from bench.record.files import read_regular

FILE = "pictures.npz"
SAMPLES_FILE = "samples.npz"
LARGEST = 2**30
"""Bytes of the arrays of a file that is read."""

AXES: Mapping[str, str] = {
    "originals": "NHWC",
    "names": "N",
    "label_given": "",
    "reconstruction": "NHWC",
    "swaps": "NNHWC",
    "regions": "R",
    "corrupted": "RNHWC",
    "inpainting": "RNHWC",
    "traverse_relevant": "NTHWC",
    "traverse_classes": "NTHWC",
    "traverse_irrelevant": "NTHWC",
    "dimensions": "DTHWC",
    "dimensions_index": "D",
    "dimensions_spread": "D",
    "dimensions_values": "T",
    "walks": "ATHWC",
    "walk_names": "A",
    "walk_planes": "QTTHWC",
    "walk_pairs": "QP",
    "walk_beyond": "",
    "subspaces": "LTTHWC",
    "subspace_names": "L",
    "subspace_margin": "",
    "neighbors": "BEHWC",
    "neighbors_ratio": "E",
    "missing": "MP",
}
"""The axes of the arrays of `pictures.npz`; a letter has one length in a file."""

Array = np.ndarray[Any, np.dtype[Any]]
K = TypeVar("K")


class RecordedPictures(NamedTuple):
    """The pictures of a run: arrays as in the table above, and why others are missing."""

    arrays: dict[str, Array]
    missing: dict[str, str]


class RecordedSamples(NamedTuple):
    """Samples of a run by class: `uint8` `[K, n, H, W, C]`, or points `float32` `[K, n, D]`."""

    x: Array
    names: tuple[str, ...]

    @property
    def are_images(self) -> bool:
        """Whether they are images rather than points."""
        return self.x.ndim == 5


def read_pictures(folder: Path) -> RecordedPictures:
    """Read the pictures of a run; none of a damaged file, which is named to the user.

    `bench figure` makes those that an older run lacks.
    """
    try:
        return check_pictures(folder)
    except DamagedRecord as problem:
        say_left_out(problem)
        return RecordedPictures({}, {})


def read_samples(folder: Path) -> RecordedSamples | None:
    """Read the samples of a run, a control or a snapshot; None where none were kept.

    None also for a damaged file, which is named to the user.
    """
    try:
        return check_samples(folder)
    except DamagedRecord as problem:
        say_left_out(problem)
        return None


def read_snapshots(folder: Path) -> dict[int, RecordedSamples]:
    """Read the samples drawn while a run was trained, by iterations, the earliest first."""
    steps = [p.name for p in (folder / "snapshots").glob("*") if p.name.isdecimal()]
    samples = {int(step): read_samples(folder / "snapshots" / step) for step in steps}
    return {step: kept for step, kept in sorted(samples.items()) if kept is not None}


def check_pictures(folder: Path) -> RecordedPictures:
    """Read the pictures of a run; a `DamagedRecord` for arrays that are not as in the table."""
    path = folder / FILE
    arrays = _read(path)
    lengths: dict[str, int] = {"P": 2, "B": 3}
    for name, array in arrays.items():
        axes = AXES.get(name)
        if axes is None:
            continue
        if len(axes) != array.ndim or any(
            lengths.setdefault(axis, length) != length
            for axis, length in zip(axes, array.shape, strict=True)
        ):
            raise _damaged(path, f"{name} has the shape {array.shape}")
        if axes[-1:] == "C" and not are_images(array):
            raise _damaged(path, f"{name} holds no images")
    missing = arrays.pop("missing", np.empty((0, 2), dtype=str))
    return RecordedPictures(arrays, {str(name): str(reason) for name, reason in missing})


def check_samples(folder: Path) -> RecordedSamples | None:
    """Read samples, None where none were kept; a `DamagedRecord` for what are no samples."""
    path = folder / SAMPLES_FILE
    if not (arrays := _read(path)):
        return None
    if not {"x", "names"} <= arrays.keys():
        raise _damaged(path, "it lacks x or names")
    x, names = arrays["x"], arrays["names"]
    are_points = x.ndim == 3 and x.dtype.kind == "f" and x.shape[-1] in (2, 3) and x.size
    if not (are_points and np.isfinite(x).all()) and not (x.ndim == 5 and are_images(x)):
        raise _damaged(path, f"x is {x.dtype} of the shape {x.shape}")
    if names.shape != x.shape[:1]:
        raise _damaged(path, f"names has the shape {names.shape}")
    return RecordedSamples(x, tuple(map(str, names)))


def samples_alike(samples: Mapping[K, RecordedSamples]) -> dict[K, RecordedSamples]:
    """Return the samples that fit beside the first: of the same classes and size."""

    def form(of: RecordedSamples) -> tuple[object, ...]:
        return of.names, of.x.shape[2:]

    first = next(iter(samples.values()), None)
    return {key: of for key, of in samples.items() if first and form(of) == form(first)}


def are_images(array: Array) -> bool:
    """Return whether an array holds images: bytes with 1 or 3 channels in the last place."""
    is_filled = array.dtype == np.uint8 and array.ndim >= 4 and array.size > 0
    return is_filled and array.shape[-1] in (1, 3)


def _damaged(path: Path, what: object) -> DamagedRecord:
    return DamagedRecord(f"{path} is damaged ({what}); delete it to have it made again")


def _read(path: Path) -> dict[str, Array]:
    """Return the arrays of a file, none where there is no file."""
    if not os.path.lexists(path):
        return {}
    content = io.BytesIO(read_regular(path))
    try:
        with zipfile.ZipFile(content) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > LARGEST:
            raise ValueError(f"it holds {size} bytes")
        with np.load(content, allow_pickle=False) as loaded:
            arrays = {name: np.asarray(loaded[name]) for name in loaded}
        for name, array in arrays.items():
            "\n".join([name, *(array.ravel() if array.dtype.kind == "U" else ())]).encode()
            if array.dtype.kind not in "biufU":
                raise ValueError(f"{name} is {array.dtype}")
    except Exception as error:  # a damaged file may raise anything
        raise _damaged(path, first_line(error)) from error
    return arrays
