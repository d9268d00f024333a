"""What an executor is: it starts tasks somewhere and tells which have ended, nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bench.execution.run_one import Outcome
from bench.execution.task import Task

STOPPED = "was asked to stop"
"""Why a task is `lost` whose worker saved it and left."""


class Ended(NamedTuple):
    """A task that has ended.

    Attributes:
        task: Which.
        outcome: As `perform` returns it, or `lost` if whoever did it is gone.
        reason: For `lost`: what happened, to follow the words "the worker". For `failed`: why, if
            that is not written in the folder of the task.
    """

    task: Task
    outcome: Outcome | Literal["lost"]
    reason: str = ""


class Executor(ABC):
    """Does tasks somewhere.

    A subclass is constructed with `jobs` (tasks at a time that the user asks for, or None) and a
    `Worker` (what to send along), and with annotated options of its own, which are the
    schema of `--executor '{name: ..., OPTION: ...}'`. Results are in the folders of the runs; what
    an executor brings back is only how they ended.

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
        """Give back what is held; what is still under way is asked to save, and waited for."""
