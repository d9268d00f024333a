"""A training that can be timed, and two of them side by side."""

import resource
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import Any, Protocol

import torch

from bench.data.base import DataSet
from bench.process.memory import keep_freed_memory
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.timing import wait
from bench.training.trainer import Trainer

CPU = torch.device("cpu")
WARM_UP = 3  # iterations before anything is timed


class Loop(Protocol):
    """A training that can be timed."""

    images: int

    def prepare(self) -> None:
        """Do what is done once."""
        ...

    def iterate(self, step: int) -> None:
        """Do one iteration."""
        ...


class Ours:
    """The harness's own training, without a folder.

    Attributes:
        images: Images an iteration takes.

    Args:
        training: The configuration.
        data: The loaded data set.
        device: Where to train.
        switches: What is on.
        precision: Instead of that of the configuration.
    """

    def __init__(
        self,
        training: Training,
        data: DataSet,
        device: torch.device,
        switches: SwitchSet = EAGER,
        precision: str = "float32",
    ) -> None:
        training = training.model_copy(update={"precision": precision})
        self._trainer = Trainer(training, data, Path(gettempdir()), device, switches=switches)
        self.images = self._trainer.draws * training.batch_size
        self.prepare, self.iterate = self._trainer.prepare, self._trainer.iterate


def seconds_of(loop: Loop, first: int, count: int, device: torch.device) -> float:
    """Return the seconds an iteration takes, over some of them.

    Args:
        loop: The training.
        first: Number of the first iteration.
        count: How many.
        device: Where it trains.

    Returns:
        Seconds, the work of the device included.
    """
    wait(device)
    began = time.perf_counter()
    for step in range(first, first + count):
        loop.iterate(step)
    wait(device)
    return (time.perf_counter() - began) / count


def two_processes(training: Training, data: DataSet, count: int, rounds: int) -> dict[str, Any]:
    """Compare two single-threaded trainings side by side with one alone, in turns.

    Args:
        training: The configuration.
        data: The loaded data set.
        count: Iterations of a turn.
        rounds: How many turns.

    Returns:
        A row: both together against one, and the most memory that a process took.
    """
    context = get_context("spawn")
    ends, processes = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, training, data), daemon=True))
        processes[-1].start()
        ends.append(ours)
    try:
        for end in ends:
            end.recv()  # it is ready
        alone: list[float] = []
        together: list[float] = []
        memory = 0
        for _ in range(rounds):
            for chosen, seconds in ((ends[:1], alone), (ends, together)):
                for end in chosen:
                    end.send(count)
                told = [end.recv() for end in chosen]
                seconds.append(max(each for each, _ in told))
                memory = max(memory, *(bytes_ for _, bytes_ in told))
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.join(timeout=10)
    return {
        "way": "two processes",
        "reason": "",
        "times_one_process": median(2 * a / b for a, b in zip(alone, together, strict=True)),
        "peak_memory_bytes": memory,
    }


def _serve(end: Connection, training: Training, data: DataSet) -> None:
    """Train as many iterations as one is asked for, again and again."""
    keep_freed_memory()
    torch.set_num_threads(1)
    loop, step = Ours(training, data, CPU), WARM_UP
    loop.prepare()
    seconds_of(loop, 0, WARM_UP, CPU)
    end.send("ready")
    while True:
        try:
            count = end.recv()
        except EOFError:
            return
        seconds = seconds_of(loop, step, count, CPU)
        step += count
        end.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
