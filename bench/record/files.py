"""Files that are written whole or not at all; JSON, CSV and nested settings."""

import csv
import functools
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from bench.errors import BenchError, DamagedRecord, add_path_to_errors, describe_system_error

T = TypeVar("T")

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Replace a file by way of a temporary one in the same folder, which is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with add_path_to_errors(path), os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes files that only their owner can read
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_atomically` left in a folder when its process was killed."""
    for temporary in folder.glob(".*.????????"):  # as `mkstemp` names them
        with suppress(OSError):
            temporary.unlink()


def refuse_unwritable(folder: Path) -> float:
    """Refuse a folder that cannot be written; return the time by the clock of its disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"a full disk takes a file, but nothing in it")
            probe.flush()
            return os.fstat(probe.fileno()).st_mtime
    except OSError as error:
        what = describe_system_error(error) or error.strerror
        raise BenchError(f"cannot write results to {folder}: {what}") from error


def write_npz(path: Path, arrays: Mapping[str, Any], *, compressed: bool = True) -> None:
    """Replace a file by arrays, of types that need no pickle, by name."""
    import numpy as np

    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    write_atomically(path, buffer.getbuffer())


def write_text(path: Path, text: str) -> None:
    """Replace a file by a string."""
    write_atomically(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a file by indented JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_once(read: Callable[[Path], T], most: int | None = None) -> Callable[[Path], T]:
    """Return a function that reads a file once in this process while it stays as it is.

    Only the last `most` files are kept.
    """

    @functools.lru_cache(most)
    def content(path: Path, size: int, mtime_ns: int) -> T:
        return read(path)

    def reading(path: Path) -> T:
        state = path.stat()
        return content(path, state.st_size, state.st_mtime_ns)

    return reading


def files_below(path: Path) -> Iterator[Path]:
    """Yield all files below a folder, through links to folders too, or the file that this is."""
    if not path.is_dir():
        yield path
    for folder, folders, names in os.walk(path, followlinks=True):
        here = os.path.realpath(folder)
        folders[:] = [  # without links to a folder around them
            name
            for name in folders
            if not Path(here).is_relative_to(os.path.realpath(os.path.join(folder, name)))
        ]
        yield from (file for name in names if (file := Path(folder, name)).is_file())


def read_regular(path: Path) -> bytes:
    """Return the content of a plain file; a `DamagedRecord` if it is anything else, or absent."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device may have no end
            raise DamagedRecord(f"cannot read {path}: it is not a plain file")
        return path.read_bytes()
    except OSError as error:
        raise DamagedRecord(f"cannot read {path}: {error.strerror}") from error


def decode_json(text: bytes) -> Any:
    """Return the value of JSON; a `ValueError` for NaN, text that is no UTF-8, and deep nesting."""
    return from_json(text, allow_inf_nan=False)


def read_json(path: Path, shape: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON object in a file; a `DamagedRecord` names one that has not this shape."""
    raw = read_regular(path)
    try:
        content = decode_json(raw)
    except ValueError as error:
        raise _damaged(path, error) from error
    return check_shape(path, content, shape)


def check_shape(path: Path, content: Any, shape: type[BaseModel]) -> dict[str, Any]:
    """Return the content of a file as it is; a `DamagedRecord` if it has not this shape."""
    if not isinstance(content, dict):
        raise _damaged(path, "a JSON object is expected")
    try:
        shape.model_validate(content)
        json.dumps(content, allow_nan=False)  # 1e999 is infinite
    except ValidationError as error:
        raise _damaged(path, shape_problem(error)) from error
    except ValueError as error:
        raise _damaged(path, error) from error
    return content


def shape_problem(error: ValidationError) -> str:
    """Return the first key that has not its shape, and why."""
    problem = error.errors(include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _damaged(path: Path, reason: object) -> DamagedRecord:
    return DamagedRecord(f"cannot read {path}: it is damaged ({reason})")


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return CSV text: lines end in a line feed, floats are exact, None is an empty field.

    Text that a spreadsheet would execute begins with an apostrophe, which `csv_text` takes away.

    >>> to_csv(["n", "value"], [(1, 0.1), (None, 2.0)])
    'n,value\n1,0.1\n,2.0\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_csv_cell, header))
    writer.writerows(map(_csv_cell, row) for row in rows)
    return buffer.getvalue()


def _csv_cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    # float() also turns NumPy's numbers into those that repr writes exactly and plainly
    return repr(float(value)) if isinstance(value, float) else value


def csv_text(cell: str) -> str:
    """Return the text that `to_csv` wrote as a cell.

    >>> csv_text("'=1+1"), csv_text("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings on one line, for display.

    >>> settings_text({"steps": 10, "guidance": 2.0, "noise": {"name": "none"}})
    'steps 10, guidance 2.0, noise.name none'
    """
    return ", ".join(f"{key} {value}" for key, value in flatten(settings).items())


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted keys and their values.

    >>> flatten({"model": {"name": "cvae", "width": 0.5}, "betas": [0, 0.9], "data": {}})
    {'model.name': 'cvae', 'model.width': 0.5, 'betas': [0, 0.9], 'data': {}}
    """
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        is_nested = isinstance(value, Mapping) and value
        leaves |= flatten(value, f"{prefix}{key}.") if is_nested else {f"{prefix}{key}": value}
    return leaves
