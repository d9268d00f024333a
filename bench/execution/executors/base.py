"""The base class of executors, and the task as a process that they start does it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bench.errors import BenchError, DeviceLost, Interrupted
from bench.execution.run_one import Outcome
from bench.execution.task import Task, execute_task
from bench.process.stop_signal import STOPPING, StopSignal
from bench.process.worker import Worker

STOPPED = "was asked to stop"
"""Reason of a `lost` task whose process saved it and left."""


class Ended(NamedTuple):
    """A task that has ended; it is `lost` if the process that did it is gone.

    The reason of `lost` says what happened, to follow the words "worker process"; that of `failed`
    is given where it could not be written in the folder of the task.
    """

    task: Task
    outcome: Outcome | Literal["lost"]
    reason: str = ""


class Executor(ABC):
    """An executor of tasks, in this process or elsewhere.

    A subclass is constructed with `jobs` (tasks at a time that the user asks for, or None), a
    `Worker` (what to send along), and annotated options of its own, which are the schema of
    `--executor '{name: ..., OPTION: ...}'`. Results are in the folders of the tasks; an executor
    only returns how they ended.

    Attributes:
        slots: How many tasks it takes at a time.
    """

    slots: int

    @abstractmethod
    def __str__(self) -> str:
        """Say where, to follow the words "4 runs"."""

    @abstractmethod
    def start(self, tasks: Sequence[Task]) -> None:
        """Start tasks; there are slots for all of them."""

    @abstractmethod
    def ended(self, seconds: float) -> list[Ended]:
        """Return what has ended since the last call; wait up to `seconds` while nothing has."""

    @abstractmethod
    def close(self) -> None:
        """Ask what is under way to save, wait for it, and release all resources."""


def execute_remotely(
    task: Task, worker: Worker, signals: Sequence[int] = STOPPING
) -> tuple[Outcome | Literal["lost"], str]:
    """Do a task in a process that another one started; `signals` ask it to save and leave."""
    worker.stop = StopSignal(quiet=True)
    try:
        with worker.stop.listening(signals):
            return execute_task(task, worker)
    except Interrupted:
        return "lost", STOPPED
    except DeviceLost as error:
        return "lost", str(error)


def end_of_command(error: DeviceLost) -> BenchError:
    """Return what ends a command whose own process has lost its device."""
    return BenchError(f"this process {error}; the same command continues")
