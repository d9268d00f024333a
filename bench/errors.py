"""Errors to display: each says what was wrong, where, and what would be right."""

import difflib
import errno
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MOST_NAMES = 40  # in a message
MOST_LINES = 20  # of a message

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
    errno.EISDIR: "choose another path, or move away what is there",
    errno.ENOTDIR: "choose another path, or move away what is there",
    errno.ELOOP: "choose another path, or move away what is there",
    errno.ENXIO: "choose another path, or move away what is there",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class BenchError(Exception):
    """A problem that the user can solve; the command line prints it and exits with status 2."""


class SpecError(BenchError):
    """A text of the user that says what cannot be done: a sweep file, an override, an option.

    `where` is like `sweeps/a.yaml:7`, `key` like `base.model`; `note` follows the message. `parts`
    are the problems of one text, each a `SpecError`: one, or several after `all_of`.
    """

    def __init__(self, message: str, *, where: str = "", key: str = "", note: str = "") -> None:
        self.parts: Sequence[SpecError] = (self,)
        self.problem = (where, key, message)
        text = ": ".join(part for part in (shortened(where, 300), shortened(key), message) if part)
        super().__init__(shortened(text, 1500) + note)

    def __reduce__(self) -> tuple[type[BenchError], tuple[object, ...]]:
        return SpecError, self.args  # to another process

    @classmethod
    def all_of(cls, errors: Iterable["SpecError"]) -> "SpecError":
        """Return all problems as one error, unknown names first; equal ones are named once."""
        found: dict[object, SpecError] = {}
        for part in (part for error in errors for part in error.parts):
            found.setdefault(part.problem, part)
        # What follows from a misspelled name is less useful than the name.
        parts = sorted(found.values(), key=lambda part: not part.problem[2].startswith("unknown"))
        if len(parts) == 1:
            return parts[0]
        shown = [f"  {part}" for part in parts[: MOST_LINES - 2]]
        more = [f"  and {len(parts) - len(shown)} more"] if len(parts) > len(shown) else []
        error = cls(f"{len(parts)} problems:")
        error.parts = parts
        error.args = ("\n".join([*error.args, *shown, *more]),)
        return error


class UnknownName(BenchError):
    """A name that is not registered; the message suggests the nearest names that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        super().__init__(describe_unknown(kind, name, known) + hint)

    def __reduce__(self) -> tuple[type[BenchError], tuple[object, ...]]:
        return BenchError, self.args  # to another process


class DataMissing(BenchError):
    """The files of a data set are absent; the message says where to put them."""


class NotApplicable(BenchError):
    """A metric cannot be computed for a model or a data set; the text is the reason."""


class RunFailed(BenchError):
    """A run stopped because of what it computed, such as a loss that is not finite."""


class DeviceLost(BenchError):
    """A GPU refuses all further work of this process, after an error in a kernel.

    The text follows the words "this process".
    """


class KeptAsItWas(BenchError):
    """A run could not be taken up to measure it again, and keeps what was measured before."""


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
    if isinstance(error, shutil.Error):  # of several files: (source, target, text) each
        found = re.search(r"\[Errno (\d+)\]", str(error))
        error = OSError(int(found[1]), os.strerror(int(found[1]))) if found else error
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return None
    where = f": {shortened(str(error.filename), 300)}" if error.filename else ""
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
    near = nearest(name, names)
    hint = f" (did you mean {shortened(near)!r}?)" if near else ""
    more = f", ... ({len(names)} in all)" if len(names) > MOST_NAMES else ""
    comma = "; " if any("," in known_name for known_name in names) else ", "
    listed = shortened(comma.join(map(shortened, names[:MOST_NAMES])), 1000) or "none"
    return f"unknown {kind} {shortened(name)!r}{hint}; known: {listed}{more}"


def shown_path(path: Path | str) -> str:
    """Return a path for a message that may be kept or shared, with `~` for the home folder."""
    text, home = str(path), os.path.expanduser("~")
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) else text


OTHER_NAMES = {
    **dict.fromkeys(("lr", "learning_rate"), "rate"),
    **dict.fromkeys(("epoch", "epochs", "steps", "images"), "iterations"),
    "ema": "average",
    "dataset": "data",
}
"""Names of other programs, and those that such things have here."""


def nearest(name: str, known: Iterable[str], likeness: float = 0.5) -> str | None:
    """Return the known name that was probably meant, or None; names are at most 1 alike."""
    known = list(known)
    if OTHER_NAMES.get(name) in known:
        return OTHER_NAMES[name]
    # difflib takes seconds for long names, which nobody has meant
    near = difflib.get_close_matches(name[:200], known, n=1, cutoff=likeness)
    return near[0] if near else None


def first_line(error: BaseException) -> str:
    """Return the first line of an error, or the name of its type where it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def describe_error(error: BaseException) -> str:
    """Return the type of an error and its first line.

    >>> describe_error(KeyError("x")), describe_error(MemoryError())
    ("KeyError: 'x'", 'MemoryError')
    """
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"


def first_few(values: Sequence[str], most: int, between: str = ", ") -> str:
    """Return at most `most` values, and how many are left out.

    >>> first_few(["a", "b", "c"], 2), first_few(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return between.join(values[:most]) + more


def short_hash(fingerprint: str, digits: int = 12) -> str:
    """Return the first digits of a hash, or of each of several hashes joined by `+`."""
    return "+".join(part[:digits] for part in fingerprint.split("+"))


def shortened(text: str, most: int = 100) -> str:
    """Return a text without its middle, if it is longer than a message should be."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 3 :]}"


def one_line(error: BaseException, most: int = 200) -> str:
    """Return the text of an error on one line, or the name of its type where it has no text."""
    return shortened(" ".join(str(error).split()) or type(error).__name__, most)


def value_text(value: object) -> str:
    """Return a value of the user as messages show it: short, and in one line."""
    if value is None:
        return "nothing"
    if isinstance(value, str | int | float | bool | dict | list):
        return shortened(json.dumps(value, ensure_ascii=False))
    return shortened(repr(value))


BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that show the text behind them in another order than it is written."""


def is_control(character: str) -> bool:
    """Return whether a character would change how others are shown, or is no character at all."""
    is_other = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return is_other or character in BIDIRECTIONAL


def first_control(text: str) -> str | None:
    """Return the first control character of a text but line feed and tab; None without any."""
    return next((c for c in text if is_control(c) and c not in "\n\t"), None)


def printable(text: str) -> str:
    r"""Return a text for a terminal: control characters but line feed and tab are spelled out.

    >>> printable("\x1b[31mred")
    '\\x1b[31mred'
    """
    if text.isprintable():
        return text
    return "".join(repr(c)[1:-1] if is_control(c) and c not in "\n\t" else c for c in text)


def mask_passwords(text: str) -> str:
    """Return a text without the users and passwords of addresses in it.

    >>> mask_passwords("http://me:p@ss/word@host:5000 and postgresql://host/db?password=secret")
    'http://***@host:5000 and postgresql://host/db?password=***'
    """
    text = re.sub(r"(?<=://)[^\s'\"]*@", "***@", text)
    return re.sub(r"(?i)\b(password|passwd|pwd|token|secret)=[^&\s'\"]+", r"\1=***", text)
