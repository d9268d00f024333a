"""Trainings in processes of their own, which take turns when they are asked to."""

import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import Any

import torch

from bench.data.base import DataSet
from bench.errors import BenchError
from bench.perf.timed_modes import WARM_UP
from bench.process.memory import keep_freed_memory
from bench.process.worker import Worker
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.device import seconds_per_iteration
from bench.training.trainer import Trainer


class TrainingProcesses:
    """A process for each training, on one device, with one CPU thread each; leaving it ends them.

    Where one has died, a `BenchError` is raised.
    """

    def __init__(
        self,
        trainings: Sequence[Training],
        data: DataSet,
        device_name: str,
        switches: SwitchSet = EAGER,
    ) -> None:
        self._work = [(training, data, device_name, switches) for training in trainings]
        self._pipes: list[Connection] = []
        self._processes: list[SpawnProcess] = []

    def __enter__(self) -> "TrainingProcesses":
        context = get_context("spawn")
        try:
            for work in self._work:
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, *work), daemon=True)
                process.start()
                theirs.close()  # now the pipe ends when the process does
                self._pipes.append(ours)
                self._processes.append(process)
            for pipe in self._pipes:
                _receive(pipe)  # it is ready
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            process.kill()  # it has nothing to save
            process.join()
            pipe.close()

    def seconds(self, count: int, used: int) -> float:
        """Let the first `used` processes train `count` iterations each; return the mean of one.

        It ends when the last of them is done.
        """
        pipes = self._pipes[:used]
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send(count)
        for pipe in pipes:
            _receive(pipe)
        return (time.perf_counter() - began) / count


def _receive(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError as error:
        raise BenchError("a process that trains has died; its message is on stderr") from error


def times_one_process(training: Training, data: DataSet, count: int, rounds: int) -> float:
    """Return the throughput of two processes on a CPU, in multiples of one alone.

    One and both take turns of `count` iterations; the result is the median over the rounds.
    """
    with TrainingProcesses([training] * 2, data, "cpu") as processes:
        pairs = [(processes.seconds(count, 1), processes.seconds(count, 2)) for _ in range(rounds)]
    return median(2 * alone / both for alone, both in pairs)


def _serve(
    pipe: Connection, training: Training, data: DataSet, device_name: str, switches: SwitchSet
) -> None:
    """Train as many iterations as are asked for, and answer; again and again."""
    keep_freed_memory()
    torch.set_num_threads(1)
    device, step = Worker(device_name).device, WARM_UP
    trainer = Trainer(training, data, Path(gettempdir()), device, switches=switches)
    trainer.prepare()
    seconds_per_iteration(trainer.iterate, device, 0, WARM_UP)
    with suppress(EOFError, OSError):  # nobody asks any more
        pipe.send("ready")
        while True:
            count = pipe.recv()
            # Its result is not needed: what counts is that it waits for the device.
            seconds_per_iteration(trainer.iterate, device, step, count)
            step += count
            pipe.send("done")
