"""Messages for the user; all on stderr, since stdout is for data."""

import logging
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from rich.console import Console

from bench.errors import printable


class _Console(Console):
    """A console that survives a closed pipe, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Go on without a reader."""


@cache
def _console_on(stream: object) -> Console:
    """Return the console of one stream; programs that capture stderr replace the stream."""
    return _Console(file=stream, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]


def console() -> Console:
    """Return the console that all messages and displays share, so that they do not mix."""
    return _console_on(getattr(sys.stderr, "rich_proxied_file", sys.stderr))  # below a display


def _print(text: str) -> None:
    with suppress(OSError, ValueError):  # the terminal is gone; the work is not
        console().print(printable(text), soft_wrap=True)


_say: Callable[[str], None] = _print


def say(text: str) -> None:
    """Print a message, above the display if there is one."""
    _say(text)


_log = logging.getLogger("bench")
_log.addHandler(logging.NullHandler())  # outside of runs, or Python would print it once more


def warn(text: str) -> None:
    """Print a warning and write it into the run's log."""
    _log.warning(text)
    say(f"  WARNING: {text}")


_left_out: set[str] = set()


def say_left_out(problem: Exception) -> None:
    """Say once in this process that a file of the record was left out; the rest goes on."""
    if (text := str(problem)) not in _left_out:
        _left_out.add(text)
        say(f"warning: left out: {text}")


def redirect_messages(to: Callable[[str], None]) -> None:
    """Send the messages of this process to a function, for example to the process that prints."""
    global _say
    _say = to


def suggest_command(results: Path, *words: str) -> str:
    """Return a command for the user to give, quoted for a shell.

    >>> suggest_command(Path("elsewhere"), "mirror", "digits")
    'bench mirror digits --results elsewhere'
    """
    is_default = os.path.realpath(results) == os.path.realpath("results")
    option = [] if is_default else ["--results", str(results)]
    return shlex.join(["bench", *words, *option])
