"""Points of a face in each image: read, checked, and moved along with a crop and a resize."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.data.files.arrays import POINTS, Array
from bench.data.files.image_tables import ImageRow, first_problems
from bench.errors import BenchError, nearest

COLUMNS = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")


def check_paths(
    file: Path, rows: Mapping[str, ImageRow], images: Sequence[str], root: Path
) -> None:
    """Refuse a file with a row of no image, or an image without a row; paths are below the root.

    Rows of images that are in the folder but not read are passed over.
    """
    known = set(images)
    unknown = [name for name in rows if name not in known and not (root / name).is_file()]
    problems = [f"{file}:{rows[name].line}: there is no image {root / name}" for name in unknown]
    if unknown and (near := nearest(unknown[0], [*known - rows.keys()])):
        problems[0] += f" (did you mean {near!r}?)"
    problems += [f"{file}: has no landmarks for {name}" for name in images if name not in rows]
    _refuse(problems)


def check_inside(file: Path, rows: Iterable[ImageRow], sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse points outside of the image whose row is beside its width and height."""
    problems = []
    for row, (width, height) in zip(rows, sizes, strict=True):
        for point, x, y in zip(POINTS, row.values[::2], row.values[1::2], strict=True):
            if not (0 <= x <= width and 0 <= y <= height):
                where = f"{file}:{row.line}: {point} ({x:g}, {y:g})"
                problems.append(f"{where} is outside of the {width}x{height} image")
    _refuse(problems)


def move_points(points: Array, windows: Array, image_size: int) -> Array:
    """Return points `[N, 5, 2]` of images as those of their windows, resized to a square.

    Windows `[N, 4]` are left, upper, right and lower edges. A point that its window cuts off moves
    to the nearest edge.
    """
    start, end = windows[:, None, :2], windows[:, None, 2:]
    moved = (points - start) / (end - start) * image_size
    return np.asarray(moved.clip(0, image_size), np.float32)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise BenchError(first_problems(problems, "lines"))
