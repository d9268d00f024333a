"""Who is at work on a folder: a lock that the system takes back when its holder dies, however.

So it also tells whether what a process last wrote about its progress is still true.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


class Busy(BenchError):
    """Another process is at work on this run."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process.

    Args:
        folder: The folder; made where it is not there.

    Yields:
        Nothing.

    Raises:
        Busy: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"{folder} is held by another process") from error
        yield


def held(folder: Path) -> bool:
    """Return whether some process is at work on a folder.

    Args:
        folder: The folder.

    Returns:
        False also where that cannot be seen: whoever takes it up will tell.
    """
    try:
        if not (folder / "lock").exists():
            return False
        with locked(folder):
            return False
    except Busy:
        return True
    except OSError:
        return False
