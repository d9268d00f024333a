"""Locks between processes, which vanish with their holder.

A lock is a file, `lock` say, that its holder has locked. `is_held` must not take it, which would be
in the way of another command; so the holder also locks `lock.shown`, and `is_held` tries that one.
On a disk without locks, `lock.owner` is made instead, with process and machine. Where its process
has died, another one on that machine takes it over; on other machines the user has to delete it.
"""

import errno
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from bench.console import say
from bench.errors import BenchError

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems that have no locks, such as some network disks."""

GLANCE_S = 5.0
"""Time to wait for processes in `is_held`, which take milliseconds."""

_told: set[Path] = set()


class Busy(BenchError):
    """Another process has the lock."""


@contextmanager
def hold(lock: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock; `Busy` if another process has it, unless this is to wait for it."""
    with ExitStack() as stack:
        try:
            _enter(stack, FileLock(lock, fallback_to_soft=False), wait=wait)
            if _owner(lock).exists():  # where another machine has no locks on the same disk
                _enter(stack, SoftFileLock(_owner(lock)), wait=wait)
            stack.enter_context(FileLock(_shown(lock), fallback_to_soft=False).acquire(GLANCE_S))
        except Timeout as error:
            raise Busy(f"{lock.parent} is locked by another process") from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                error.filename = str(lock)  # as the user knows it
                raise
            _tell(lock, error)
            try:
                _enter(stack, SoftFileLock(_owner(lock)), wait=wait)
            except Timeout as busy:
                raise Busy(
                    f"{lock.parent} is locked by another process, says {_owner(lock)}; if that "
                    "process is gone, delete the file"
                ) from busy
        yield


def has_locks(folder: Path) -> bool:
    """Return whether the disk of a folder has locks; a file `lock` is left there."""
    try:
        with FileLock(folder / "lock", fallback_to_soft=False).acquire(timeout=GLANCE_S):
            return True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False


def is_held(lock: Path) -> bool:
    """Return whether a process has a lock, without taking it; False where that cannot be seen."""
    try:
        if _owner(lock).exists() and not _is_free(SoftFileLock(_owner(lock))):
            return True
        shown = _shown(lock)
        # Another process may look at the same moment; it is gone a moment later.
        return shown.exists() and not any(_is_free_soon(shown, after) for after in (0, 0.001, 0.01))
    except OSError:
        return False


def _is_free_soon(shown: Path, seconds: float) -> bool:
    time.sleep(seconds)
    return _is_free(FileLock(shown, fallback_to_soft=False))


def _is_free(lock: BaseFileLock) -> bool:
    try:
        with lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


def _enter(stack: ExitStack, lock: BaseFileLock, *, wait: bool) -> None:
    stack.enter_context(lock.acquire(timeout=-1 if wait else 0))


def _owner(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.owner")


def _shown(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.shown")


def _tell(lock: Path, error: OSError) -> None:
    """Say once for each folder of a sweep that its disk has no locks."""
    if lock.parent.parent not in _told:
        _told.add(lock.parent.parent)
        say(
            f"note: the disk of {lock.parent} has no locks ({error.strerror}), so files "
            f"{_owner(lock).name} take their place; if a machine dies, delete its own there"
        )
