"""One run after the other, in this process."""

import time
from collections.abc import Sequence

from bench.execution.executors.base import Ended, Executor
from bench.execution.task import Task, perform
from bench.process.worker import Worker


class Inline(Executor):
    """Does tasks at once, in the process that asks.

    Args:
        jobs: Has no meaning here: one at a time.
        worker: Where to do it.
    """

    slots = 1

    def __init__(self, jobs: int | None, worker: Worker) -> None:
        self.jobs = jobs
        self.worker = worker
        self._done: list[Ended] = []

    def __str__(self) -> str:
        more = "" if self.jobs in (None, 1) else "; the executor inline takes no --jobs, local does"
        return f"on {self.worker.device}, one at a time{more}"

    def start(self, tasks: Sequence[Task]) -> None:
        """Do a task."""
        self._done += [Ended(task, *perform(task, self.worker)) for task in tasks]

    def ended(self, seconds: float) -> list[Ended]:
        """Return what was done."""
        if not self._done:
            time.sleep(seconds)
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Nothing is held."""
