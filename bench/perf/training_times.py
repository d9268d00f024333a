"""Speed of training on this machine, in every mode of execution that it has.

Clocks and other programs change during a measurement, so all modes take turns, a block of
iterations each, and the median of the ratios of the rounds is reported.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import Any

import torch

from bench.data.base import DataSet
from bench.perf.plain_loop import PlainLoop
from bench.process.memory import keep_freed_memory
from bench.process.worker import Worker
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.device import seconds_per_iteration
from bench.training.trainer import Trainer

ROUNDS = 5
BLOCK_SECONDS = 0.5
WARM_UP = 3  # iterations before anything is timed
PLAIN, EAGER_MODE = "plain loop", "eager"


@dataclass
class Mode:
    """A mode of execution: its training, or why there is none, and seconds of each round."""

    name: str
    start: Callable[[Training, DataSet, torch.device], PlainLoop | Trainer]
    threads: int | None = None
    loop: PlainLoop | Trainer | None = None
    reason: str = ""
    seconds: list[float] = field(default_factory=list)


def modes_of(device: torch.device, compiling: bool) -> list[Mode]:
    """Return the modes of a device; `compiling` adds those that compile for a minute a model."""
    on_cpu, cores = device.type == "cpu", len(os.sched_getaffinity(0))
    switches = [] if on_cpu else ["graphs", "autotune"]
    switches += ["channels_last"] + ["compile"] * compiling
    modes = [Mode(PLAIN, PlainLoop), Mode(EAGER_MODE, start_trainer)]
    modes += [_switched([name]) for name in switches]
    if on_cpu:
        return modes + [Mode(f"{cores} threads", start_trainer, cores)] * (cores > 1)
    return modes + [_switched(switches, p) for p in ("float32", "tf32", "bfloat16")]


def _switched(names: list[str], precision: str = "float32") -> Mode:
    switches = SwitchSet.of(names)
    name = str(switches) if precision == "float32" else f"{switches}, {precision}"
    return Mode(name, partial(start_trainer, switches=switches, precision=precision))


def start_trainer(
    training: Training,
    data: DataSet,
    device: torch.device,
    switches: SwitchSet = EAGER,
    precision: str = "float32",
) -> Trainer:
    """Return a prepared trainer, which is not to write anything."""
    training = training.model_copy(update={"precision": precision})
    trainer = Trainer(training, data, Path(gettempdir()), device, switches=switches)
    trainer.prepare()
    return trainer


def time_training(run: RunConfig, worker: Worker, *, compiling: bool) -> dict[str, Any]:
    """Time the training of a model in every mode; return plain data with a row for each."""
    data, device = worker.context(run).data, worker.device
    with worker.computing(data.spec):
        threads = torch.get_num_threads()
        modes = modes_of(device, compiling)
        for mode in modes:
            _begin(mode, run.training, data, device)
        able = [mode for mode in modes if mode.loop is not None]
        pace = median([mode.seconds.pop() for mode in able] or [BLOCK_SECONDS])
        count = max(1, round(BLOCK_SECONDS / pace))
        for index in range(ROUNDS):
            for mode in able:
                mode.seconds.append(_seconds(mode, WARM_UP * 2 + index * count, count))
        rows = [_row(mode, modes, run.training.batch_size) for mode in modes]
        if able and device.type == "cpu" and threads == 1:
            ratio = two_processes(run.training, data, count, ROUNDS)
            rows.append({"mode": "two processes", "reason": "", "times_one_process": ratio})
    return {
        "model": run.training.model,
        "batch_size": run.training.batch_size,
        "threads": threads,
        "iterations": count,
        "rows": rows,
    }


def _begin(mode: Mode, training: Training, data: DataSet, device: torch.device) -> None:
    """Start a mode, and time it once; an error is kept as the reason, and the others go on."""
    try:
        mode.loop = mode.start(training, data, device)
        _seconds(mode, 0, WARM_UP)
        mode.seconds.append(_seconds(mode, WARM_UP, WARM_UP))
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        mode.loop, mode.reason = None, f"{type(error).__name__}: {line[:160]}"


def _seconds(mode: Mode, first: int, count: int) -> float:
    assert mode.loop is not None
    threads = torch.get_num_threads()
    torch.set_num_threads(mode.threads or threads)
    try:
        return seconds_per_iteration(mode.loop.iterate, mode.loop.device, first, count)
    finally:
        torch.set_num_threads(threads)


def _row(mode: Mode, modes: Sequence[Mode], batch_size: int) -> dict[str, Any]:
    """Return a mode as plain data, compared with the plain loop and with eager mode."""
    row: dict[str, Any] = {"mode": mode.name, "reason": mode.reason}
    if mode.loop is None:
        return row
    for base in modes:
        if base.name in (PLAIN, EAGER_MODE) and base.loop is not None:
            ratios = (a / b for a, b in zip(base.seconds, mode.seconds, strict=True))
            row[f"times_{base.name.replace(' ', '_')}"] = median(ratios)
    seconds = median(mode.seconds)
    images = mode.loop.draws * batch_size
    return row | {"seconds_per_iteration": seconds, "images_per_second": images / seconds}


def two_processes(training: Training, data: DataSet, count: int, rounds: int) -> float:
    """Return the throughput of two processes of one thread each, in multiples of one alone.

    One and both take turns of `count` iterations; the result is the median over the rounds.
    """
    context = get_context("spawn")
    pipes, processes = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, training, data), daemon=True))
        processes[-1].start()
        pipes.append(ours)
    try:
        for pipe in pipes:
            pipe.recv()  # it is ready
        alone: list[float] = []
        together: list[float] = []
        for _ in range(rounds):
            for used, seconds in ((pipes[:1], alone), (pipes, together)):
                for pipe in used:
                    pipe.send(count)
                seconds.append(max(pipe.recv() for pipe in used))
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(timeout=10)
    return median(2 * a / b for a, b in zip(alone, together, strict=True))


def _serve(pipe: Connection, training: Training, data: DataSet) -> None:
    """Train as many iterations as are asked for, again and again; answer with their seconds."""
    keep_freed_memory()
    torch.set_num_threads(1)
    device, step = torch.device("cpu"), WARM_UP
    trainer = Trainer(training, data, Path(gettempdir()), device)
    seconds_per_iteration(trainer.iterate, trainer.device, 0, WARM_UP)
    pipe.send("ready")
    while True:
        try:
            count = pipe.recv()
        except EOFError:
            return
        pipe.send(seconds_per_iteration(trainer.iterate, trainer.device, step, count))
        step += count
