"""Two trainings side by side, each in a process of its own with one thread."""

from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import gettempdir

import torch

from bench.data.base import DataSet
from bench.process.memory import keep_freed_memory
from bench.spec.run_settings import Training
from bench.training.device import seconds_per_iteration
from bench.training.trainer import Trainer

CPU = torch.device("cpu")
WARM_UP = 3  # iterations before anything is timed


def two_processes(training: Training, data: DataSet, count: int, rounds: int) -> float:
    """Return the throughput of two processes together, in multiples of one of them alone.

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
    trainer, step = Trainer(training, data, Path(gettempdir()), CPU), WARM_UP
    seconds_per_iteration(trainer.iterate, CPU, 0, WARM_UP)
    pipe.send("ready")
    while True:
        try:
            count = pipe.recv()
        except EOFError:
            return
        pipe.send(seconds_per_iteration(trainer.iterate, CPU, step, count))
        step += count
