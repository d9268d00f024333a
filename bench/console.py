"""What a person sees while runs are under way; all of it on stderr, since stdout is data."""

import logging
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from rich.console import Console


class _Console(Console):
    """A console whose reader may leave."""

    def on_broken_pipe(self) -> None:
        """Go on without a reader, where rich would end the process."""


@cache
def _console_on(stream: object) -> Console:
    """Return the console of one stream: a program that captures stderr puts another in place."""
    return _Console(file=stream, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]


def console() -> Console:
    """Return the console that everything is said on, so that lines and displays do not mix."""
    return _console_on(getattr(sys.stderr, "rich_proxied_file", sys.stderr))  # below a display


def _print(text: str) -> None:
    with suppress(OSError, ValueError):  # the terminal is gone; the work is not
        console().print(text, soft_wrap=True)


_say: Callable[[str], None] = _print


def say(text: str) -> None:
    """Print one line above whatever display is showing."""
    _say(text)


def command_on(results: Path, *words: str) -> str:
    """Return a command for a user to give, fit for a shell.

    Args:
        results: The folder of all results that it is to look at.
        *words: What follows `bench`.

    Returns:
        One line.

    Example:
        >>> command_on(Path("there"), "mirror", "digits")
        'bench mirror digits --results there'
    """
    is_default = results.resolve() == Path("results").resolve()
    where = [] if is_default else ["--results", str(results)]
    return shlex.join(["bench", *words, *where])


def warn(text: str) -> None:
    """Say something that should not be overlooked, and keep it in the log of the run."""
    logging.getLogger("bench").warning(text)
    say(f"  WARNING: {text}")


def relay(to: Callable[[str], None]) -> None:
    """Hand on what is said in this process, to one that has the console to itself.

    Args:
        to: Takes each line.
    """
    global _say
    _say = to
