"""The request to stop: Ctrl-C or SIGTERM."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from bench.console import say
from bench.errors import Interrupted

STOPPING = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Whether someone asked to stop: Ctrl-C or SIGTERM once finishes cleanly, twice stops now.

    A request raises `Interrupted` where work can simply be done again. Work that has to end well
    runs `deferred`, and calls this object to see whether to end. `quiet` is for processes that
    another one started: no message, and later signals count as the same request.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.asked = 0  # the number of the signal
        self.quiet = quiet
        self._deferred = False
        self._conditions: list[Callable[[], bool]] = []

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.asked != 0 or any(condition() for condition in self._conditions)

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
        """Let a request wait until the block has ended."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before
        if self.asked and not before:
            raise Interrupted("stopped")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within `deferred`: let a request interrupt this block, and go on after it."""
        before, self._deferred = self._deferred, False
        try:
            yield
        except Interrupted:
            if not before:
                raise
        finally:
            self._deferred = before

    @contextmanager
    def stop_when(self, condition: Callable[[], bool]) -> Iterator[None]:
        """Within this block, stop also when a condition holds; blocks may be nested."""
        self._conditions.append(condition)
        try:
            yield
        finally:
            self._conditions.pop()

    @contextmanager
    def listening(self, numbers: Sequence[int] = STOPPING) -> Iterator["StopSignal"]:
        """Handle the signals within the block."""
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
