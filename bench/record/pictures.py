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
| `missing` | `[M, 2]` | names of arrays that the model cannot make, each with the reason |

Where the label is the relevant code, a row is made with the label of its class.
"""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.errors import BenchError

FILE = "pictures.npz"
Array = np.ndarray[Any, np.dtype[Any]]


class RecordedPictures(NamedTuple):
    """The pictures of a run: arrays as in the table above, and why others are missing."""

    arrays: dict[str, Array]
    missing: dict[str, str]


class RecordedSamples(NamedTuple):
    """Samples of a run by class: `uint8` `[K, n, H, W, C]`, or points `float32` `[K, n, 2]`."""

    x: Array
    names: tuple[str, ...]

    @property
    def are_images(self) -> bool:
        """Whether they are images rather than points."""
        return self.x.ndim == 5


def read_pictures(folder: Path) -> RecordedPictures:
    """Read the pictures of a run; `bench figure` makes those that an older run lacks."""
    arrays = _read(folder / FILE)
    missing = arrays.pop("missing", np.empty((0, 2), dtype=str))
    return RecordedPictures(arrays, {str(name): str(reason) for name, reason in missing})


def read_samples(folder: Path) -> RecordedSamples | None:
    """Read the samples of a run, a control or a snapshot; None where none were kept."""
    arrays = _read(folder / "samples.npz")
    return RecordedSamples(arrays["x"], tuple(map(str, arrays["names"]))) if arrays else None


def read_snapshots(folder: Path) -> dict[int, RecordedSamples]:
    """Read the samples drawn while a run was trained, by iterations, the earliest first."""
    steps = [p.name for p in (folder / "snapshots").glob("*") if p.name.isdecimal()]
    samples = {int(step): read_samples(folder / "snapshots" / step) for step in steps}
    return {step: kept for step, kept in sorted(samples.items()) if kept is not None}


def _read(path: Path) -> dict[str, Array]:
    """Return the arrays of a file, none where there is no file; name a damaged one."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BenchError(f"{path} is damaged ({error}); delete it to have it made again") from error
