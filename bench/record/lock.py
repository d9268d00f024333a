"""Locks on run folders; the system releases a lock when its holder dies, however it dies.

So a lock also tells whether what a process last wrote about its progress is still true.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


class Busy(BenchError):
    """Another process is working on this run."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, made if need be, for this process; `Busy` if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"{folder} is held by another process") from error
        yield


def held(folder: Path) -> bool:
    """Return whether some process works on a folder; False also where that cannot be seen."""
    try:
        if not (folder / "lock").exists():
            return False
        with locked(folder):
            return False
    except Busy:
        return True
    except OSError:
        return False
