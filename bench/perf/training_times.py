"""How fast models are trained on this machine, one way of executing them against another.

Other programs, clocks and temperatures change while one measures, so no two times are compared
that were not taken right after each other: all ways take turns, a block of iterations each, and
what is reported is the median of the ratios of the rounds.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bench.data.base import DataSet
from bench.perf.plain_loop import PlainLoop
from bench.perf.side_by_side import (
    WARM_UP,
    Loop,
    Ours,
    seconds_of,
    two_processes,
)
from bench.process.worker import Worker
from bench.record.provenance import collect
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Training
from bench.spec.switches import SwitchSet
from bench.training.cost import count_cost
from bench.training.numerics import numerics
from bench.training.timing import wait

ROUNDS = 5
BLOCK_SECONDS = 0.5
MATRIX = {"cpu": 1024, "cuda": 8192}  # rows of the product that is the ceiling
COPIED = {"cpu": 1 << 26, "cuda": 1 << 30}  # bytes


@dataclass(frozen=True)
class Way:
    """One way of executing a training.

    Attributes:
        name: What to call it.
        start: Makes the training.
        threads: CPU threads; those of the run where None.
        precision: What the ceiling is measured in.
    """

    name: str
    start: Callable[[Training, DataSet, torch.device], Loop]
    threads: int | None = None
    precision: str = "float32"


BASELINE, OURS = "plain loop", "eager"


def ways(device: torch.device, compiling: bool) -> list[Way]:
    """Return what is compared on a kind of device, the plain loop and eager mode first.

    Args:
        device: The device.
        compiling: Whether to time what has to be compiled, which takes a minute a model.

    Returns:
        The ways.
    """
    found = [Way(BASELINE, PlainLoop), Way(OURS, Ours)]
    each = ["channels_last"] + ["compile"] * compiling
    if device.type == "cpu":
        found += [_switched([name]) for name in each]
        count = len(os.sched_getaffinity(0))
        return [*found, Way(f"{count} threads", Ours, threads=count)] if count > 1 else found
    found += [_switched([name]) for name in ("graphs", "autotune", *each)]
    every = ["graphs", "autotune", *each]
    found.append(_switched(every))
    return [*found, *(_switched(every, precision) for precision in ("tf32", "bfloat16"))]


def _switched(names: list[str], precision: str = "float32") -> Way:
    suffix = "" if precision == "float32" else f", {precision}"
    start = partial(Ours, switches=SwitchSet.of(names), precision=precision)
    return Way(f"{SwitchSet.of(names)}{suffix}", start, precision=precision)


def time_training(
    run: RunConfig, worker: Worker, *, iterations: int | None, compiling: bool
) -> dict[str, Any]:
    """Time the training of one model in every way that this machine has.

    Args:
        run: The complete configuration; its precision is float32.
        worker: Device and threads.
        iterations: Of each block; as many as take about half a second where None.
        compiling: Whether to time what has to be compiled.

    Returns:
        Plain data: the model, its cost, the ceilings, and a row for each way.
    """
    data, device = worker.context(run).data, worker.device
    facts = {fact.metric: fact.value for fact in count_cost(run.training, data.spec)}
    operations = 2 * (facts["multiply_adds_per_iteration"] or 0)
    every = ways(device, compiling)
    with worker.computing(data.spec):
        usual = torch.get_num_threads()
        stand = _Stand(run.training, data, device, usual, iterations)
        lines = [stand.enter(way) for way in every]
        timed = [line for line in lines if line.loop is not None]
        copies: list[float] = []
        products: dict[str, list[float]] = {way.precision: [] for way in every}
        for round_ in range(ROUNDS):
            for line in timed:
                stand.time(line, round_)
            copies.append(_copy(device))
            for precision, rates in products.items():
                rates.append(_product(run.training, device, precision))
        ceilings = {precision: median(rates) for precision, rates in products.items()}
        rows = [line.row(lines, operations, ceilings) for line in lines]
        if device.type == "cpu" and usual == 1:
            rows.append(two_processes(run.training, data, stand.count, ROUNDS))
    return {
        "model": run.training.model,
        "batch_size": run.training.batch_size,
        "operations_per_iteration": operations,
        "threads": usual,
        "matrix_product_flops": ceilings,
        "copy_bytes_per_second": median(copies),
        "iterations": stand.count,
        "rows": rows,
    }


@dataclass
class _Line:
    """A way under measurement.

    Attributes:
        way: Which.
        loop: Its training; None if it could not begin.
        reason: Why not.
        memory: Most bytes allocated on a GPU for it alone, if it is on one.
        seconds: Of an iteration, one entry a round.
    """

    way: Way
    loop: Loop | None
    reason: str = ""
    memory: int | None = None
    seconds: Sequence[float] = ()

    def row(
        self, lines: Sequence["_Line"], operations: int, ceilings: Mapping[str, float]
    ) -> dict[str, Any]:
        """Return it as plain data, compared with the plain loop and eager mode."""
        found: dict[str, Any] = {"way": self.way.name, "reason": self.reason}
        if self.loop is None:
            return found
        seconds = median(self.seconds)
        of_one = min(line.loop.images for line in lines if line.loop is not None)
        operations *= self.loop.images // of_one
        for name in (BASELINE, OURS):
            base = next(line for line in lines if line.way.name == name)
            if base.loop is not None:
                scale = self.loop.images / base.loop.images
                pairs = zip(base.seconds, self.seconds, strict=True)
                found[f"times_{name.replace(' ', '_')}"] = median(scale * a / b for a, b in pairs)
        return found | {
            "seconds_per_iteration": seconds,
            "images_per_second": self.loop.images / seconds,
            "share_of_matrix_product": operations / seconds / ceilings[self.way.precision],
            "peak_memory_bytes": self.memory,
        }


class _Stand:
    """Where ways take turns."""

    def __init__(
        self,
        training: Training,
        data: DataSet,
        device: torch.device,
        threads: int,
        iterations: int | None,
    ) -> None:
        self._what = training, data, device
        self._device, self._threads = device, threads
        self.count = iterations or 0

    def enter(self, way: Way) -> _Line:
        """Begin a way; what raises is told, and the others go on."""
        before = self._memory(reset=True)
        try:
            loop = way.start(*self._what)
            loop.prepare()
            self._block(loop, way, 0, WARM_UP)
            if not self.count and way.name != BASELINE:
                seconds = self._block(loop, way, WARM_UP, WARM_UP)  # the first were not warm
                self.count = max(1, round(BLOCK_SECONDS / seconds))
        except Exception as error:
            told = (str(error).strip().splitlines() or [""])[0]
            return _Line(way, None, f"{type(error).__name__}: {told[:160]}")
        peak = self._memory()
        return _Line(way, loop, memory=None if peak is None else peak - (before or 0), seconds=[])

    def time(self, line: _Line, round_: int) -> None:
        """Let a way do a block."""
        assert line.loop is not None
        first = WARM_UP + round_ * self.count
        line.seconds = [*line.seconds, self._block(line.loop, line.way, first, self.count)]

    def _block(self, loop: Loop, way: Way, first: int, count: int) -> float:
        torch.set_num_threads(way.threads or self._threads)
        try:
            return seconds_of(loop, first, count, self._device)
        finally:
            torch.set_num_threads(self._threads)

    def _memory(self, *, reset: bool = False) -> int | None:
        if self._device.type != "cuda":
            return None
        if reset:
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device)
        return torch.cuda.max_memory_allocated(self._device)


def _product(training: Training, device: torch.device, precision: str) -> float:
    """Return operations a second of a matrix product."""
    size = MATRIX[device.type]
    a = torch.ones(size, size, device=device)
    a = a.bfloat16() if precision == "bfloat16" else a
    with numerics(training.model_copy(update={"precision": precision})):
        return _rate(lambda: a @ a, 2 * size**3, device)


def _copy(device: torch.device) -> float:
    """Return bytes a second of a copy, which reads and writes each of them."""
    source = torch.zeros(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return _rate(lambda: target.copy_(source), 2 * len(source), device)


def _rate(work: Callable[[], Tensor], amount: int, device: torch.device) -> float:
    work()
    wait(device)
    began = time.perf_counter()
    for _ in range(3):
        work()
    wait(device)
    return 3 * amount / (time.perf_counter() - began)


def time_models(
    runs: Sequence[RunConfig],
    worker: Worker,
    *,
    iterations: int | None,
    compiling: bool,
    told: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Time several models, one after another.

    Args:
        runs: One a model, on one data set.
        worker: Device and threads.
        iterations: As for `time_training`.
        compiling: As for `time_training`.
        told: Given what was found of each model as soon as it is there.

    Returns:
        Plain data: machine, versions, date, and what was found of every model.
    """
    data = worker.context(runs[0]).data
    threads = worker.threads_for(data.spec)
    found = []
    for run in runs:
        found.append(time_training(run, worker, iterations=iterations, compiling=compiling))
        told(found[-1])
        if worker.device.type == "cuda":
            torch.cuda.empty_cache()
    return {
        **collect(worker.device, worker.command, data.fingerprint, threads),
        "data": runs[0].training.data,
        "date": datetime.now(UTC).date().isoformat(),
        "models": found,
    }
