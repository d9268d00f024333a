"""What a person sees while runs are under way; all of it on stderr, since stdout is data."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from tqdm import tqdm

from bench.errors import Interrupted

PLAIN_EVERY_S = 15.0


def say(text: str) -> None:
    """Print one line above whatever bar is showing."""
    tqdm.write(text, file=sys.stderr)


class RunProgress:
    """A bar on a terminal, or now and then a line where there is none.

    Args:
        label: What is running.
        iterations: Length of the run.
        images: Images that one iteration takes from the stream.
        plain: Lines even on a terminal, for when several processes write to it.
    """

    def __init__(self, label: str, iterations: int, images: int, *, plain: bool = False) -> None:
        self.label = label
        self.iterations = iterations
        self.images = images
        self.began: float | None = None
        self.first = 0
        self.spoke = time.monotonic()
        self.losses = ""
        self.bar = (
            tqdm(total=iterations, desc=label, unit="it", leave=False, dynamic_ncols=True)
            if sys.stderr.isatty() and not plain
            else None
        )

    def update(self, step: int, losses: dict[str, float] | None = None) -> None:
        """Take notice that `step` iterations are done."""
        now = time.monotonic()
        if self.began is None:
            self.began, self.first = now, step
            if self.bar is not None:
                self.bar.initial = self.bar.n = step
        if losses:
            shown = {name.rsplit("/", 1)[-1]: value for name, value in losses.items()}
            self.losses = " ".join(f"{name} {value:.3g}" for name, value in shown.items())
        rate = (step - self.first) / (now - self.began) if now > self.began else 0.0
        if self.bar is not None:
            self.bar.set_postfix_str(f"{rate * self.images:.0f} images/s {self.losses}", False)
            self.bar.update(step - self.bar.n)
        elif now - self.spoke >= PLAIN_EVERY_S and rate:
            self.spoke = now
            left = (self.iterations - step) / rate
            say(
                f"  {self.label}: {step}/{self.iterations}, {rate * self.images:.0f} images/s, "
                f"{left:.0f} s left, {self.losses}"
            )

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


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

    def __call__(self) -> bool:
        """Return whether someone asked; `asked` is the number of the signal."""
        return self.asked != 0

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
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.asked:
            raise Interrupted("stopped")

    @contextmanager
    def listening(self, numbers: Sequence[int] = STOPPING) -> Iterator["StopSignal"]:
        """Take over the signals for a while."""
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
