"""One task after the other, in this process."""

import time
from collections.abc import Sequence

from bench.errors import DeviceLost
from bench.execution.executors.base import Ended, Executor, end_of_command
from bench.execution.task import Task, execute_task
from bench.process.worker import Worker


class Inline(Executor):
    """An executor that runs tasks in this process, at once.

    Args:
        jobs: Has no meaning here: one at a time.
        worker: Where to do them.
    """

    slots = 1

    def __init__(self, jobs: int | None, worker: Worker) -> None:
        self.jobs = jobs
        self.worker = worker
        self._ended: list[Ended] = []

    def __str__(self) -> str:
        more = "" if self.jobs in (None, 1) else "; the executor inline takes no --jobs, local does"
        return f"on {self.worker.device}, one at a time{more}"

    def start(self, tasks: Sequence[Task]) -> None:
        """Do tasks."""
        try:
            self._ended += [Ended(task, *execute_task(task, self.worker)) for task in tasks]
        except DeviceLost as error:
            raise end_of_command(error) from error

    def ended(self, seconds: float) -> list[Ended]:
        """Return what has been done."""
        if not self._ended:
            time.sleep(seconds)
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Do nothing: nothing is under way."""
