"""Timed modes of training, which take turns: clocks and other programs disturb all alike."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.errors import describe_error, shortened
from bench.perf.limits import time_limit

ROUNDS = 5
TURN_SECONDS = 0.5
WARM_UP = 3  # iterations before anything is timed
NOT_MEASURED = "not measured yet"


@dataclass
class TimedMode:
    """A mode of training: how many iterations fill a turn, and how its turns went.

    `reason` says why there is nothing to time and is empty otherwise. `seconds` are those of an
    iteration in each round, None where it sat out; `spent` is all of its time.
    """

    name: str
    reason: str = field(default=NOT_MEASURED, kw_only=True)
    count: int = field(default=1, kw_only=True)
    spent: float = field(default=0.0, kw_only=True)
    seconds: list[float | None] = field(default_factory=list, kw_only=True)
    timed: Callable[[int], float] | None = field(default=None, kw_only=True)

    def begin(self, start: Callable[[], Callable[[int], float]], limit: float) -> None:
        """Start it, and find how many iterations fill a turn, in at most `limit` seconds.

        `start` returns what does so many iterations and returns the mean seconds of one. All turns
        together are to take at most a quarter of the limit, since on a GPU starting takes most.
        """
        with self._going_on_after_errors(), time_limit(limit):
            timed = start()
            timed(WARM_UP)
            turn = min(TURN_SECONDS, limit / (4 * ROUNDS))
            self.count = max(1, round(turn / timed(WARM_UP)))
            self.timed, self.reason = timed, ""

    def take_turn(self, limit: float) -> None:
        """Iterate for a turn, but sit out where all turns would together take too many seconds."""
        if self.timed is None:
            return
        known = self.known_seconds
        if known and self.spent + self.count * median(known) > limit:
            self.seconds.append(None)
            return
        with self._going_on_after_errors():
            self.seconds.append(self.timed(self.count))

    def end(self) -> None:
        """Let go of what is timed.

        Left to the garbage collector, a loader would be waited for five seconds per worker.
        """
        self.timed = None

    @property
    def known_seconds(self) -> list[float]:
        """The seconds of an iteration in the rounds that it took part in."""
        return [seconds for seconds in self.seconds if seconds is not None]

    def times(self, base: "TimedMode") -> float | None:
        """Return how many times as fast it is as another: the median over common rounds."""
        pairs = zip(base.seconds, self.seconds, strict=False)
        ratios = [a / b for a, b in pairs if a is not None and b is not None]
        return median(ratios) if ratios else None

    def row(self, images: int, **bases: "TimedMode") -> dict[str, Any]:
        """Return it as plain data; `times_NAME` is how many times as fast it is as a base.

        `images` are those of an iteration.
        """
        row: dict[str, Any] = {"mode": self.name, "reason": self.reason}
        row["total_seconds"] = self.spent
        if self.reason or not self.known_seconds:
            return row
        ratios = {f"times_{name}": self.times(base) for name, base in bases.items()}
        seconds = median(self.known_seconds)
        return row | {
            **{name: ratio for name, ratio in ratios.items() if ratio is not None},
            "rounds": len(self.known_seconds),
            "iterations": self.count,
            "seconds_per_iteration": seconds,
            "images_per_second": images / seconds,
        }

    @contextmanager
    def _going_on_after_errors(self) -> Iterator[None]:
        """Count the time; keep an error as the reason why there is nothing to time."""
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            self.timed, self.reason = None, shortened(describe_error(error), 200)
        self.spent += time.monotonic() - began
