"""The record: JSON lines that survive a kill at any byte.

A row counts once it is complete. What was being written when a process died is ignored by the
reader and removed by the next writer, so an interrupted run is continued by running it again.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import BenchError, add_path_to_errors
from bench.record.files import write_atomically

KEY = ("step", "split", "metric", "protocol")
"""What tells the rows of a run apart."""


class JsonlWriter:
    """Appends rows to one file; one writer a file.

    Opening it removes a torn last line, so that a new row never continues a broken one.
    Use it as a context manager, or call `close`.

    Args:
        path: The file; made, with its folder, where it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _mend_tail(path)
        self._file = path.open("ab")
        self._offset = self._file.tell()

    @property
    def offset(self) -> int:
        """Length of the file in bytes, with what is not yet flushed: what `truncate` takes."""
        return self._offset

    def write(self, **row: object) -> None:
        """Append one row; it is on the disk after `flush` or `close`.

        Args:
            **row: The columns, all of them JSON values, numbers finite.

        Raises:
            BenchError: If a value is not finite or not JSON.
        """
        line = _encode(row, self.path)
        with add_path_to_errors(self.path):
            self._file.write(line)
        self._offset += len(line)

    def flush(self) -> None:
        """Return once all rows are on the disk."""
        with add_path_to_errors(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close; closing twice is allowed."""
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            with suppress(OSError):  # which tries once more to write what is left
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def by_key(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[object, ...], Mapping[str, Any]]:
    """Return rows by what they stand for: step, split, metric, protocol; of equals the last."""
    return {tuple(row.get(name, "") for name in KEY): row for row in rows}


def read_jsonl(path: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """Read all complete rows of a file.

    Args:
        path: The file; one that is not there has no rows.
        whole: Whether it was written at once, so that a torn last row is damage too.

    Returns:
        The rows in the order in which they were written, without a torn last one.

    Raises:
        BenchError: If a line other than a torn last one is no row; names the file and the line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line and number == len(lines):
            continue
        row = _decode(line)
        if row is not None:
            rows.append(row)
        elif whole or number < len(lines):
            raise BenchError(
                f"{path}:{number}: not a row (one JSON object a line is wanted); the file was "
                "damaged by something else than an interruption: delete the folder of this run "
                "and run the sweep again"
            )
    return rows


def holds(path: Path, offset: int) -> bool:
    """Return whether a file still holds all rows that it held at a checkpoint, undamaged.

    Args:
        path: The file; need not exist where `offset` is 0.
        offset: A former `JsonlWriter.offset`.

    Returns:
        Whether `truncate` and another writer could go on with it.
    """
    content = path.read_bytes()[:offset] if path.exists() else b""
    return len(content) == offset and None not in map(_decode, content.splitlines())


def truncate(path: Path, offset: int) -> None:
    """Cut a file back to what it held at a checkpoint.

    Args:
        path: The file; need not exist where `offset` is 0.
        offset: Bytes to keep, a former `JsonlWriter.offset`.

    Raises:
        BenchError: If the file is shorter than that, so that rows are lost.
    """
    held = path.stat().st_size if path.exists() else 0
    if held < offset:
        raise BenchError(
            f"{path} holds {held} bytes where the checkpoint knows of {offset}: rows are lost; "
            "delete the folder of this run and run the sweep again"
        )
    if held > offset:
        os.truncate(path, offset)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Replace a file by these rows: a reader sees the old file or the new, never a part.

    Args:
        path: The file.
        rows: The rows, in order.
    """
    write_atomically(path, b"".join(_encode(row, path) for row in rows))


def _encode(row: Mapping[str, object], path: Path) -> bytes:
    """Return a row as one line: keys sorted, no spaces, the shortest exact floats."""
    try:
        text = json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        raise BenchError(
            f"{path}: cannot write the row {dict(row)!r}: {error}; a row holds finite numbers, "
            "text, true, false and null (a figure that cannot be had is null with a reason)"
        ) from error
    return text.encode() + b"\n"


def _decode(line: bytes) -> dict[str, Any] | None:
    """Return the row in a line, or None where there is none."""
    try:
        row = json.loads(line, parse_constant=_refuse)
    except ValueError:  # also UnicodeDecodeError and JSONDecodeError
        return None
    return row if isinstance(row, dict) else None


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(constant)


def _mend_tail(path: Path) -> None:
    """End the file with a complete line: complete the last one, or remove it."""
    if not path.exists():
        return
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return
    if _decode(content[end:]) is None:
        os.truncate(path, end)
    else:
        with path.open("ab") as file:
            file.write(b"\n")
