"""Choose the switches of a run by short measurements on the device at hand.

A switch is on if a training with it raises nothing, computes what eager mode does, and is faster.
How much its numbers may differ is measured by eager trainings whose weights are rounded once
more. `autotune` is never chosen, only demanded: the fastest algorithms of cuDNN need not give the
same bits again, so that a resumed run would end elsewhere.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import median

import torch
from torch import Tensor

from bench.errors import describe_error, shortened
from bench.spec.switches import EAGER, SwitchSet
from bench.training.device import seconds_per_iteration
from bench.training.trainer import Trainer

CANDIDATES = (("graphs", 20.0), ("channels_last", 60.0), ("compile", 1200.0))
"""Trials on CUDA, in this order, with the least seconds of a run for which each can pay."""

CHECKED = 3  # iterations that are compared
BLOCKS = 5  # of each kind that are timed, alternating
BLOCK_SECONDS = 0.3
LEAST_GAIN = 1.03  # times as fast, below which a switch stays off
ROUNDING = {"float32": 2**-24, "tf32": 2**-11, "bfloat16": 2**-8}
"""Largest relative error of one rounding to a precision."""
ROUNDINGS = 2  # trainings with rounded weights: their effect varies by a factor of three
MULTIPLE = 3.0  # of the larger effect of one rounding of all weights
LEAST_TOLERANCE = {"float32": 1e-3, "tf32": 3e-2, "bfloat16": 3e-2}
"""Relative difference of a part of the evidence that is allowed in any case.

The distances of two eager trainings in precision tf32, by other kernels of cuDNN, differed by 0.02.
"""


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
    rounded = [evidence_after_rounding(start(EAGER), precision, n) for n in range(ROUNDINGS)]
    best = start(EAGER)
    expected = evidence(best)
    allowed = tolerances(expected, rounded, precision)
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
            excess = float((differences(expected, evidence(trial)) / allowed).max())
            if excess > 1:
                reasons.append(f"{name} off, its numbers differ {excess:.2g} times too much")
                continue
            gain = _times_as_fast(best, trial, pace, clock)
        except Exception as error:  # of a compiler, a driver, memory: what is on already goes on
            reasons.append(f"{name} off, {shortened(describe_error(error), 150)}")
            continue
        reasons.append(f"{name} {'on' if gain >= LEAST_GAIN else 'off'}, {gain:.2f} times as fast")
        if gain >= LEAST_GAIN:
            best, switches, pace = trial, tried, pace / gain
    return SwitchDecision(switches, tuple(reasons))


def evidence(trainer: Trainer) -> list[Tensor]:
    """Do some iterations of an unused trainer; return moments, mean terms and distances moved.

    They are the first of each kind, and a few after them.

    Gradients are compared after one iteration, in the moments, since trainings drift apart: Adam
    moves a bias in front of a batch norm, which has no gradient, by the signs of rounding errors.
    """
    trainer.prepare()
    start = {p: p.detach().clone() for p in trainer.model.parameters()}
    steps = [kind.first for kind in trainer.timetable.kinds()]
    for step in steps:
        trainer.iterate(step)
    moments = [
        torch.cat(parts).cpu()
        for optimizer in trainer.optimizers.values()
        for name in ("exp_avg", "exp_avg_sq", "momentum_buffer")
        if (parts := optimizer.moments(name))
    ]
    for step in range(1, CHECKED):
        trainer.iterate(steps[-1] + step)
    distances = [
        torch.stack([(p.detach() - start[p]).norm() for p in optimizer.parameters]).norm()
        for optimizer in trainer.optimizers.values()
    ]
    terms = torch.tensor(list(trainer.losses.take().values()))
    return [*moments, terms, torch.stack(distances).cpu()]


def evidence_after_rounding(trainer: Trainer, precision: str, seed: int) -> list[Tensor]:
    """Return `evidence` after one rounding of every weight, up or down at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            signs = torch.randint(2, parameter.shape, generator=generator) * 2 - 1
            parameter.addcmul_(parameter, signs.to(parameter), value=ROUNDING[precision])
    return evidence(trainer)


def tolerances(
    expected: Sequence[Tensor], rounded: Iterable[Sequence[Tensor]], precision: str
) -> Tensor:
    """Return the relative difference that is allowed of each part of the evidence."""
    noise = torch.stack([differences(expected, after) for after in rounded]).amax(dim=0)
    return (MULTIPLE * noise).clamp(min=LEAST_TOLERANCE[precision])


def differences(expected: Sequence[Tensor], actual: Sequence[Tensor]) -> Tensor:
    """Return the relative distances between vectors of two trials, infinity for NaN."""
    distances = [
        (a - b).norm() / a.norm().clamp(min=1e-12) for a, b in zip(expected, actual, strict=True)
    ]
    return torch.stack(distances).nan_to_num(nan=inf, posinf=inf)


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
