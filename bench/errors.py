"""Errors for people: each says what was wrong, where, and what would be right.

The command line prints a `BenchError` as text and exits with status 2. Anything else that
escapes is a bug and shows its traceback.
"""

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_NAMES = 40
"""A message lists no more names than this."""

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
}


class BenchError(Exception):
    """A problem that the user can solve; its text is the whole message."""


class SpecError(BenchError):
    """A sweep file or an override says something that cannot be run.

    Args:
        message: What is wrong, and what would be right.
        where: File and line, or the override, for example `sweeps/a.yaml:7`.
        key: Dotted path of the offending key, for example `base.model`.
    """

    def __init__(self, message: str, *, where: str = "", key: str = "") -> None:
        self.where = where
        self.key = key
        prefix = ": ".join(part for part in (where, key) if part)
        super().__init__(f"{prefix}: {message}" if prefix else message)


class UnknownName(BenchError):
    """A name that is not registered; the message suggests the nearest names that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        super().__init__(describe_unknown(kind, name, known))


class DataMissing(BenchError):
    """The files of a data set are absent; the message says where to put them."""


class NotApplicable(BenchError):
    """A metric cannot be computed for a model or a data set; the text is the reason."""


class RunFailed(BenchError):
    """A run stopped for a reason of its own, such as a loss that is not finite."""


class CheckpointError(BenchError):
    """A checkpoint is damaged or belongs to another run."""


class Interrupted(BaseException):
    """The user or the system asked to stop; everything up to the last step is saved.

    A signal can raise it anywhere. So it is no `Exception`: code that handles any failure of a
    model or a file must not handle this one.
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
    """Let system errors name a file; those of a failed write do not name it by themselves."""
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
