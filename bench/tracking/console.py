"""What a person sees while runs are under way; all of it on stderr, since stdout is data."""

import logging
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType

from rich.console import Console

from bench.errors import Interrupted


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


STOPPING = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Whether someone asked to stop: Ctrl-C or SIGTERM once finishes cleanly, twice stops now.

    Work that is simply done again may be left at any moment: there a request raises
    `Interrupted`. Work that has to come to a good end is done `deferred`, and asks.

    Args:
        quiet: For a worker: say nothing, and take further requests for the same one.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.asked = 0
        self.quiet = quiet
        self._deferred = False
        self._reason: Callable[[], bool] | None = None

    def __call__(self) -> bool:
        """Return whether someone asked; `asked` is the number of the signal."""
        return self.asked != 0 or (self._reason is not None and self._reason())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            if self.quiet:
                return
            raise KeyboardInterrupt
        self.asked = number
        if not self.quiet:
            say("stopping as soon as all is saved; press Ctrl-C again to stop at once")
        if not self._deferred:
            raise Interrupted("stopped")

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a request wait until this is left; whoever is inside may ask for it."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before
        if self.asked and not before:
            raise Interrupted("stopped")

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Within `deferred`: let a request end what is inside, which can be done again.

        Whoever is around it goes on, and asks.
        """
        before, self._deferred = self._deferred, False
        try:
            yield
        except Interrupted:
            if not before:
                raise
        finally:
            self._deferred = before

    @contextmanager
    def also(self, reason: Callable[[], bool]) -> Iterator[None]:
        """Tell those who ask to stop for another reason as well, for a while."""
        self._reason = reason
        try:
            yield
        finally:
            self._reason = None

    @contextmanager
    def listening(self, numbers: Sequence[int] = STOPPING) -> Iterator["StopSignal"]:
        """Take over the signals for a while."""
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
