"""Files that are written whole or not at all; JSON, CSV and nested settings."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError, add_path_to_errors


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


def write_text(path: Path, text: str) -> None:
    """Replace a file by a string."""
    write_atomically(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a file by indented JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; a file that has none is a `BenchError` that names it."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BenchError(f"cannot read {path}: it is damaged ({error})") from error
    if not isinstance(content, dict):
        raise BenchError(f"cannot read {path}: it is damaged (a JSON object is expected)")
    return content


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return CSV text: lines end in a line feed, floats are exact, None is an empty field.

    >>> to_csv(["n", "value"], [(1, 0.1), (None, 2.0)])
    'n,value\n1,0.1\n,2.0\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    # float() also turns NumPy's numbers into those that repr writes exactly and plainly
    writer.writerows(
        [repr(float(value)) if isinstance(value, float) else value for value in row] for row in rows
    )
    return buffer.getvalue()


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
