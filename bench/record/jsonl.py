"""JSON lines that survive a kill at any byte.

An unparsable last line, left by a process that died, is ignored by the reader and removed by the
next writer; one that only lacks its newline counts, and is completed. So an interrupted run
continues by running it again.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.errors import BenchError, DamagedRecord, add_path_to_errors
from bench.record.files import decode_json, read_regular, write_atomically
from bench.record.shapes import Entry

KEY = ("step", "split", "metric", "protocol")
"""Fields that identify an entry within a run."""

_ENTRIES = TypeAdapter(list[Entry])


class JsonlWriter(AbstractContextManager["JsonlWriter"]):
    """Writer that appends entries to a file and repairs its torn last line; one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _mend_tail(path)
        self._file = path.open("ab")
        self.offset = self._file.tell()  # bytes, with unflushed entries: what `truncate` takes

    def write(self, **entry: object) -> None:
        """Append an entry of finite JSON values; it is on the disk after `flush` or `close`."""
        line = _encode(entry, self.path)
        with add_path_to_errors(self.path):
            self._file.write(line)
        self.offset += len(line)

    def flush(self) -> None:
        """Return once all entries are on the disk."""
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
            with suppress(OSError):  # close() tries once more to write what is left
                self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def by_key(entries: Iterable[Mapping[str, Any]]) -> dict[tuple[object, ...], Mapping[str, Any]]:
    """Return entries by step, split, metric and protocol; of equal ones the last."""
    return {tuple(entry.get(name, "") for name in KEY): entry for entry in entries}


def read_jsonl(path: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """Return the complete entries of a file, none where there is no file.

    An unparsable last line is left out; in a file that was written at once (`whole`) it is damage,
    as is any other unparsable line: a `DamagedRecord` that names the file and the line.
    """
    if not os.path.lexists(path):
        return []
    lines = read_regular(path).split(b"\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line and number == len(lines):
            continue
        entry = _decode(line)
        if entry is not None:
            entries.append(entry)
        elif whole or number < len(lines):
            raise DamagedRecord(
                f"{path}:{number}: not an entry (one JSON object per line is expected); the file "
                "was damaged by something else than an interruption"
            )
    return entries


def read_entries(path: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """Return what `read_jsonl` returns, if every line is an `Entry`; else a `DamagedRecord`."""
    entries = read_jsonl(path, whole=whole)
    try:
        _ENTRIES.validate_python(entries)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        index, *where = problem["loc"]
        raise DamagedRecord(
            f"{path}:{int(index) + 1}: an entry needs a metric, and a value that is a number or "
            f"null ({'.'.join(map(str, where))}: {problem['msg']})"
        ) from error
    return entries


def read_asked(path: Path) -> list[dict[str, Any]]:
    """Return the measurements of a file but for those that its sweep has not asked for."""
    return [entry for entry in read_entries(path) if not entry.get("added")]


def is_intact_until(path: Path, offset: int) -> bool:
    """Return whether the first `offset` bytes of a file are there and undamaged."""
    content = path.read_bytes()[:offset] if path.exists() else b""
    return len(content) == offset and None not in map(_decode, content.splitlines())


def truncate(path: Path, offset: int) -> None:
    """Cut a file back to its length at a checkpoint; refuse one that is shorter."""
    size = path.stat().st_size if path.exists() else 0
    if size < offset:
        raise BenchError(
            f"{path} holds {size} bytes where the checkpoint knows of {offset}: entries are lost; "
            "delete the folder of this run and run the sweep again"
        )
    if size > offset:
        os.truncate(path, offset)


def write_jsonl(path: Path, entries: Iterable[Mapping[str, object]]) -> None:
    """Replace a file by these entries: a reader sees the old file or the new, never a part."""
    write_atomically(path, b"".join(_encode(entry, path) for entry in entries))


def _encode(entry: Mapping[str, object], path: Path) -> bytes:
    """Return an entry as one line: keys sorted, no spaces, the shortest exact floats."""
    try:
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        raise BenchError(
            f"{path}: cannot write the entry {dict(entry)!r}: {error}; an entry holds finite "
            "numbers, text, true, false and null (a measurement without a value is null, with a "
            "reason)"
        ) from error
    return text.encode() + b"\n"


def _decode(line: bytes) -> dict[str, Any] | None:
    """Return the entry in a line, or None where there is none."""
    try:
        entry = decode_json(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _mend_tail(path: Path) -> None:
    """End the file with a complete line: complete the last one, or remove it."""
    content = path.read_bytes() if path.exists() else b""
    end = content.rfind(b"\n") + 1
    if end < len(content) and _decode(content[end:]) is None:
        os.truncate(path, end)
    elif end < len(content):
        with path.open("ab") as file:
            file.write(b"\n")
