"""Files with a row of numbers for each image of a folder: boxes and landmarks."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError, DataMissing

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the original image."""

BOX = ("x", "y", "w", "h")
NAMED = 5  # problems in a message


class ImageRow(NamedTuple):
    """The numbers of one image, and the line they are from."""

    line: int
    values: tuple[float, ...]


def read_boxes(path: Path) -> dict[str, Box]:
    """Return the box of each image of a folder, by its path below the folder, with `/`.

    The file is a CSV file with the columns `path,x,y,w,h` and perhaps a first line of these names,
    or the `bounding_boxes.txt` of CUB-200-2011, which needs the `images.txt` next to it.
    """
    what, is_cub = "boxes", path.suffix == ".txt"
    rows = read_rows(path, BOX, what, " " if is_cub else ",")
    names = {}
    if is_cub:
        table = _lines(path.with_name("images.txt"), 2, what, " ")
        names = {key: name for _, (key, name) in table}
    found = {}
    for key, row in rows.items():
        x, y, w, h = row.values
        found[names.get(key, key)] = (x, y, w, h)
    return found


def read_rows(
    path: Path, columns: Sequence[str], what: str, delimiter: str = ","
) -> dict[str, ImageRow]:
    """Return the row of each image by its path, the first column; the first line may be names.

    A `BenchError` names lines that do not hold finite numbers, and images that occur twice.
    """
    rows: dict[str, ImageRow] = {}
    problems = []
    for line, (key, *numbers) in _lines(path, 1 + len(columns), what, delimiter):
        if line == 1 and (key, *numbers) == ("path", *columns):
            continue
        if line == 1 and key == "path":
            raise BenchError(f"{path}:1: columns are path, {', '.join(columns)}; got {numbers}")
        try:
            values = tuple(map(float, numbers))
        except ValueError:
            values = (math.nan,)
        if not all(map(math.isfinite, values)):
            names = ", ".join(columns)
            problems.append(
                f"{path}:{line}: {names} must be numbers, not nan or inf; got {numbers}"
            )
        elif key in rows:
            problems.append(f"{path}:{line}: {key} is also in line {rows[key].line}")
        rows.setdefault(key, ImageRow(line, values))
    if problems:
        raise BenchError(first_problems(problems, "lines"))
    return rows


def first_problems(problems: Sequence[str], what: str) -> str:
    """Return the first problems, a line each, and how many more there are.

    >>> print(first_problems(list("abcdefg"), "files"))
    a
    b
    c
    d
    e
    and 2 more files
    """
    more = len(problems) - NAMED
    return "\n".join([*problems[:NAMED], *([f"and {more} more {what}"] if more > 0 else [])])


def _lines(path: Path, columns: int, what: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    if not path.is_file():
        raise DataMissing(f"there is no file {path}, which the {what} are read from")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != columns:
                    raise BenchError(
                        f"{path}:{reader.line_num}: expected {columns} fields, got {fields}"
                    )
                yield reader.line_num, fields
        except (csv.Error, UnicodeDecodeError) as error:
            raise BenchError(f"{path}: not a table of {what} in UTF-8 ({error})") from error
