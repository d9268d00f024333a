"""Errors to display: each says what was wrong, where, and what would be right."""

import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_NAMES = 40  # in a message

_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EIO: "check the disk",
    errno.ESTALE: "check the network disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.EISDIR: "move away what stands there",
    errno.ENOTDIR: "move away what stands there",
    errno.ELOOP: "move away what stands there",
    errno.ENXIO: "move away what stands there",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class BenchError(Exception):
    """A problem that the user can solve; the command line prints it and exits with status 2."""


class SpecError(BenchError):
    """A sweep file or an override says something that cannot be run.

    `where` is like `sweeps/a.yaml:7`, `key` like `base.model`.
    """

    def __init__(self, message: str, *, where: str = "", key: str = "") -> None:
        prefix = ": ".join(part for part in (where, key) if part)
        super().__init__(f"{prefix}: {message}" if prefix else message)


class UnknownName(BenchError):
    """A name that is not registered; the message suggests the nearest names that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(describe_unknown(kind, name, known))

    def __reduce__(self) -> tuple[type[BenchError], tuple[object, ...]]:
        return BenchError, self.args  # to another process


class DataMissing(BenchError):
    """The files of a data set are absent; the message says where to put them."""


class NotApplicable(BenchError):
    """A metric cannot be computed for a model or a data set; the text is the reason."""


class RunFailed(BenchError):
    """A run stopped because of what it computed, such as a loss that is not finite."""


class CheckpointError(BenchError):
    """A checkpoint is damaged or belongs to another run."""


class DamagedRecord(BenchError):
    """A file of the record cannot be read, or does not hold what it should; the message names it.

    Commands on many runs leave that run out and say so.
    """


class Interrupted(BaseException):
    """The user or the system asked to stop; all iterations so far are saved.

    A signal can raise it anywhere, so it is no `Exception`, which much code handles.
    """


def describe_system_error(error: BaseException) -> str | None:
    """Describe an error of the machine, such as a full disk, with its remedy; None for others.

    >>> describe_system_error(OSError(errno.ENOSPC, "No space left on device", "a/done"))
    'No space left on device: a/done; free some space there'
    """
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return None
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{where}; {_REMEDIES[error.errno]}"


@contextmanager
def add_path_to_errors(path: Path) -> Iterator[None]:
    """Add a path to system errors that have none, such as those of a failed write."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def describe_unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name, with the nearest known one.

    >>> describe_unknown("model", "cvea", ["cvae", "lr_livae"])
    "unknown model 'cvea' (did you mean 'cvae'?); known: cvae, lr_livae"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    more = f", ... ({len(names)} in all)" if len(names) > MOST_NAMES else ""
    return f"unknown {kind} {name!r}{hint}; known: {', '.join(names[:MOST_NAMES]) or 'none'}{more}"


def mask_passwords(text: str) -> str:
    """Return a text without the users and passwords of addresses in it.

    >>> mask_passwords("http://me:p@ss/word@host:5000 and postgresql://host/db?password=secret")
    'http://***@host:5000 and postgresql://host/db?password=***'
    """
    text = re.sub(r"(?<=://)[^\s'\"]*@", "***@", text)
    return re.sub(r"(?i)\b(password|passwd|pwd|token|secret)=[^&\s'\"]+", r"\1=***", text)
