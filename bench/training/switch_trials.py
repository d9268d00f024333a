"""Which switches a run uses: what a short measurement on the device at hand says.

A switch is on if a training that begins like the run itself, with that switch besides those that
are on already, raises nothing, computes the same as eager mode within a tolerance, and is faster.
The measurement knows nothing of training: it sees trials that can iterate.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

from torch import Tensor

from bench.spec.switches import EAGER, SwitchSet

CANDIDATES: tuple[tuple[str, float], ...] = (
    ("graphs", 20.0),
    ("autotune", 20.0),
    ("channels_last", 60.0),
    ("compile", 1200.0),
)
"""What is tried on CUDA, in this order: a switch, and how many seconds the run must be expected to
take still, so that trying it can pay. Compiling takes a minute or two."""

CHECKED = 3  # iterations that are compared
BLOCKS = 5  # of each kind that are timed, alternating
BLOCK_SECONDS = 0.3
LEAST_GAIN = 1.03  # times as fast, below which a switch stays off
TOLERANCE = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2}
"""Largest relative difference of any part of the evidence."""


class Trial(Protocol):
    """A training that is thrown away."""

    def iterate(self, step: int) -> None:
        """Do one iteration."""
        ...

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        ...

    def gradients(self) -> list[Tensor]:
        """Return what tells of the gradients until now, on the CPU."""
        ...

    def results(self) -> list[Tensor]:
        """Return what tells of all iterations until now, on the CPU."""
        ...


@dataclass(frozen=True)
class Choice:
    """What is used, and why.

    Attributes:
        switches: What is on.
        reasons: One phrase for every switch that was considered.
    """

    switches: SwitchSet
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.switches} ({'; '.join(self.reasons)})"


def choose(
    start: Callable[[SwitchSet], Trial],
    *,
    iterations: int,
    precision: str = "float32",
    candidates: Sequence[tuple[str, float]] = CANDIDATES,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Try switches one after another, and keep those that are right and pay.

    Args:
        start: Begins a training with some switches; every one of them begins alike.
        iterations: Length of the run.
        precision: Of the configuration, for the tolerance.
        candidates: Names of switches and seconds, as in `CANDIDATES`.
        clock: Seconds.

    Returns:
        What to use.
    """
    best, expected = begin(start, EAGER)
    pace = _seconds(best, CHECKED, CHECKED, clock)
    chosen, reasons = EAGER, []
    for name, worth in candidates:
        trial = best  # the memory of a rejected one is free
        if iterations * pace < worth:
            reasons.append(f"{name} not tried, the run is too short")
            continue
        tried = replace(chosen, **{name: True})
        try:
            trial, found = begin(start, tried)
            off = difference(expected, found)
            if off > TOLERANCE[precision]:
                reasons.append(f"{name} off, its numbers differ by {off:.2g}")
                continue
            gain = _times_as_fast(best, trial, pace, clock)
        except Exception as error:  # of a compiler, a driver, memory: what is on already goes on
            line = (str(error).strip().splitlines() or [""])[0]
            reasons.append(f"{name} off, {type(error).__name__}: {line[:120]}")
            continue
        reasons.append(f"{name} {'on' if gain >= LEAST_GAIN else 'off'}, {gain:.2f} times as fast")
        if gain >= LEAST_GAIN:
            best, chosen, pace = trial, tried, pace / gain
    return Choice(chosen, tuple(reasons))


def begin(start: Callable[[SwitchSet], Trial], switches: SwitchSet) -> tuple[Trial, list[Tensor]]:
    """Do the first iterations of a trial.

    Gradients are compared after the first iteration, since two trainings drift apart: a bias in
    front of a batch norm has no gradient but rounding errors, and Adam moves it by the full rate
    in their direction.

    Args:
        start: As for `choose`.
        switches: What is on.

    Returns:
        The trial, and the evidence of what it computes.
    """
    trial = start(switches)
    trial.iterate(0)
    evidence = list(trial.gradients())
    for step in range(1, CHECKED):
        trial.iterate(step)
    return trial, [*evidence, *trial.results()]


def difference(expected: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """Return how far two trials are apart.

    Args:
        expected: Evidence of one.
        found: Evidence of the other.

    Returns:
        The largest relative distance of two vectors, in Euclidean norm; infinite where one of
        them is not finite.
    """
    largest = 0.0
    for a, b in zip(expected, found, strict=True):
        distance = float((a - b).norm() / a.norm().clamp(min=1e-12))
        largest = max(largest, distance if distance < float("inf") else float("inf"))
    return largest


def _seconds(trial: Trial, first: int, count: int, clock: Callable[[], float]) -> float:
    """Return the seconds an iteration takes, over some of them."""
    trial.wait()
    began = clock()
    for step in range(first, first + count):
        trial.iterate(step)
    trial.wait()
    return (clock() - began) / count


def _times_as_fast(before: Trial, after: Trial, pace: float, clock: Callable[[], float]) -> float:
    """Return the median ratio of alternating blocks: other programs disturb both alike."""
    count = max(1, min(200, round(BLOCK_SECONDS / max(pace, 1e-6))))
    ratios = []
    for block in range(BLOCKS):
        first = CHECKED + block * count
        ratios.append(_seconds(before, first, count, clock) / _seconds(after, first, count, clock))
    return median(ratios)
