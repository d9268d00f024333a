"""Files and folders that are options: what they hold is part of the configuration.

A component keeps the SHA-256 of each under `FILE_HASHES`, so ids, copies, imports and comparisons
know them without further code, and an object is only built from the very same files.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.errors import BenchError, short_hash
from bench.record.files import read_once
from bench.spec.validation import KeyProblem

FILE_HASHES = "file-hashes"
"""A key of complete components that no option can have: dotted option -> SHA-256."""


def hash_files(options: BaseModel) -> dict[str, str]:
    """Return the SHA-256 of each file or folder among checked options, by its dotted option.

    These are options annotated as `Path`, which must be there, and strings that look like the path
    of something that is there.
    """
    hashes = {}
    for option, path in _paths(options):
        if not path.exists():
            raise KeyProblem(tuple(option.split(".")), f"there is no file or folder {path}")
        hashes[option] = file_hash(path)
    return hashes


def unchanged_files(what: str, options: BaseModel, recorded: Mapping[str, str]) -> dict[str, str]:
    """Return what was recorded of the files among checked options; raise if one has changed."""
    unchanged = {}
    for option, path in _paths(options, known=recorded):
        if option not in recorded:
            continue
        require_hash(path, recorded[option], f"the option {option} of {what}")
        unchanged[option] = recorded[option]
    return unchanged


def require_hash(
    path: Path, recorded: str, what: str, rest: str = "another file makes a new run"
) -> None:
    """Raise a `BenchError` unless a file or folder has the SHA-256 that was recorded of it."""
    now = file_hash(path) if path.exists() else ""
    if now != recorded:
        found = f"has changed (SHA-256 is {short_hash(now)})" if now else "was removed"
        raise BenchError(
            f"{path}, {what}, {found} since the run was configured (SHA-256 was "
            f"{short_hash(recorded)}). Restore it, or run the sweep again: {rest}"
        )


def _paths(value: Any, at: str = "", known: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    """Yield the files and folders in a value, with their dotted keys."""
    if isinstance(value, Path):
        yield at, Path(os.path.expanduser(value))
    elif isinstance(value, str):
        path = Path(os.path.expanduser(value))  # these two never raise, whatever the text is
        if at in known or (("/" in value or path.suffix) and os.path.exists(path)):
            yield at, path
    elif isinstance(value, BaseModel | Mapping | list | tuple):
        pairs = enumerate(value) if isinstance(value, list | tuple) else dict(value).items()
        for key, inner in pairs:
            yield from _paths(inner, f"{at}.{key}" if at else str(key), known)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder."""
    if not path.is_dir():
        return _hash_file(path)
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file_hash(file)}\n".encode())
    return digest.hexdigest()


@read_once
def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
