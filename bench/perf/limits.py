"""The seconds that a measurement may use."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 5.0  # until the exception is raised again, where something has swallowed it


class OutOfTime(Exception):
    """Something takes longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the main thread, which this is, if the block takes longer."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"not ready after {seconds:g} s; more --seconds may help")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
