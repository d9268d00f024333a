"""Choose the switches of a run by short measurements on the device at hand.

A switch is on if a training with it raises nothing, computes what eager mode does, and is faster.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import median

import torch
from torch import Tensor

from bench.spec.switches import EAGER, SwitchSet
from bench.training.device import seconds_per_iteration
from bench.training.trainer import Trainer

CANDIDATES = (("graphs", 20.0), ("autotune", 20.0), ("channels_last", 60.0), ("compile", 1200.0))
"""Trials on CUDA, in this order, with the least seconds of a run for which each can pay."""

CHECKED = 3  # iterations that are compared
BLOCKS = 5  # of each kind that are timed, alternating
BLOCK_SECONDS = 0.3
LEAST_GAIN = 1.03  # times as fast, below which a switch stays off
TOLERANCE = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2}
"""Largest relative difference of any part of the evidence."""


@dataclass(frozen=True)
class SwitchDecision:
    """The switches to use, and a phrase for every switch that was considered."""

    switches: SwitchSet
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.switches} ({'; '.join(self.reasons)})"


def choose_switches(
    start: Callable[[SwitchSet], Trainer],
    *,
    iterations: int,
    precision: str = "float32",
    candidates: Sequence[tuple[str, float]] = CANDIDATES,
    clock: Callable[[], float] = time.perf_counter,
) -> SwitchDecision:
    """Try switches one after another, and keep those that are right and pay.

    `start` makes an unused trainer; `iterations` and `precision` are those of the run.
    """
    best = start(EAGER)
    expected = evidence(best)
    pace = seconds_per_iteration(best.iterate, best.device, CHECKED, CHECKED, clock)
    switches, reasons = EAGER, []
    for name, least_seconds in candidates:
        trial = best  # so that the memory of a rejected one is free
        if iterations * pace < least_seconds:
            reasons.append(f"{name} not tried, the run is too short")
            continue
        tried = replace(switches, **{name: True})
        try:
            trial = start(tried)
            distance = difference(expected, evidence(trial))
            if distance > TOLERANCE[precision]:
                reasons.append(f"{name} off, its numbers differ by {distance:.2g}")
                continue
            gain = _times_as_fast(best, trial, pace, clock)
        except Exception as error:  # of a compiler, a driver, memory: what is on already goes on
            line = (str(error).strip().splitlines() or [""])[0]
            reasons.append(f"{name} off, {type(error).__name__}: {line[:120]}")
            continue
        reasons.append(f"{name} {'on' if gain >= LEAST_GAIN else 'off'}, {gain:.2f} times as fast")
        if gain >= LEAST_GAIN:
            best, switches, pace = trial, tried, pace / gain
    return SwitchDecision(switches, tuple(reasons))


def evidence(trainer: Trainer) -> list[Tensor]:
    """Do the first iterations of an unused trainer; return moments, mean terms and distances moved.

    Gradients are compared after one iteration, in the moments, since trainings drift apart: Adam
    moves a bias in front of a batch norm, which has no gradient, by the signs of rounding errors.
    """
    trainer.prepare()
    start = {p: p.detach().clone() for p in trainer.model.parameters()}
    trainer.iterate(0)
    moments = [
        torch.cat(parts).cpu()
        for optimizer in trainer.optimizers.values()
        for name in ("exp_avg", "exp_avg_sq", "momentum_buffer")
        if (parts := optimizer.moments(name))
    ]
    for step in range(1, CHECKED):
        trainer.iterate(step)
    losses = [stage.take() for stage in trainer.losses.values()]
    distances = [
        torch.stack([(p.detach() - start[p]).norm() for p in optimizer.parameters]).norm()
        for optimizer in trainer.optimizers.values()
    ]
    terms = torch.tensor([value for stage in losses for value in stage.values()])
    return [*moments, terms, torch.stack(distances).cpu()]


def difference(expected: Sequence[Tensor], actual: Sequence[Tensor]) -> float:
    """Return the largest relative distance between vectors of two trials, or infinity for NaN."""
    distances = [
        (a - b).norm() / a.norm().clamp(min=1e-12) for a, b in zip(expected, actual, strict=True)
    ]
    return float(torch.stack(distances).nan_to_num(nan=inf, posinf=inf).max())


def _times_as_fast(
    before: Trainer, after: Trainer, pace: float, clock: Callable[[], float]
) -> float:
    """Return the median ratio of alternating blocks: other programs disturb both alike."""
    count = max(1, min(200, round(BLOCK_SECONDS / max(pace, 1e-6))))
    ratios = []
    for block in range(BLOCKS):
        first = CHECKED + block * count
        a, b = (
            seconds_per_iteration(trial.iterate, trial.device, first, count, clock)
            for trial in (before, after)
        )
        ratios.append(a / b)
    return median(ratios)
