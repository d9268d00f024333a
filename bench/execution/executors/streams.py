"""Several tasks in this process that take turns after every iteration of a training.

A GPU has room for several small networks at once, but processes that share it take turns at it.
"""

import queue
import threading
from collections.abc import Sequence
from dataclasses import replace

import torch

from bench.errors import DeviceLost, Interrupted
from bench.execution.executors.base import STOPPED, Ended, Executor, end_of_command
from bench.execution.task import Task, execute_task
from bench.process.stop_signal import StopSignal
from bench.process.turns import Turn, Turns
from bench.process.worker import Worker

MOST = 8
"""Tasks at a time: each has a stream, and so has each of its graphs."""


class Streams(Executor):
    """An executor that runs tasks side by side in this process, each on a CUDA stream of its own.

    Trainings overlap on the GPU; evaluations are done one after the other. On a CPU nothing
    overlaps.

    Args:
        jobs: Tasks at a time, at most 8; as many where None.
        worker: Where to do them.
    """

    def __init__(self, jobs: int | None, worker: Worker) -> None:
        self.worker = worker
        self.slots = min(jobs or MOST, MOST)
        self.asked = jobs or self.slots
        self._turns = Turns()
        self._threads: list[threading.Thread] = []
        self._ended: queue.Queue[Ended | Exception] = queue.Queue()
        self._is_closing = threading.Event()

    def __str__(self) -> str:
        more = f" ({self.asked} were asked for)" if self.slots < self.asked else ""
        return f"on {self.worker.device}, {self.slots} side by side in one process{more}"

    def start(self, tasks: Sequence[Task]) -> None:
        """Start a thread for each task."""
        for task in tasks:
            thread = threading.Thread(target=self._do, args=(task,), name=task.label, daemon=True)
            self._threads.append(thread)
            thread.start()

    def ended(self, seconds: float) -> list[Ended]:
        """Return what has ended; raise what ends the command."""
        try:
            ended = [self._ended.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._ended.empty():
            ended.append(self._ended.get())
        for one in ended:
            if isinstance(one, DeviceLost):
                raise end_of_command(one) from one
            if isinstance(one, Exception):
                raise one
        return [one for one in ended if isinstance(one, Ended)]

    def close(self) -> None:
        """Ask all trainings to save and end; evaluations that have begun are completed."""
        self._is_closing.set()
        for thread in self._threads:
            thread.join()

    def _do(self, task: Task) -> None:
        """Do a task in the turns of this thread."""
        stop = StopSignal(quiet=True)
        device = self.worker.device
        try:
            if device.type == "cuda" and device.index is not None:
                torch.cuda.set_device(device)  # which CUDA keeps for each thread
            with (
                stop.stop_when(lambda: self._is_closing.is_set() or self.worker.stop()),
                Turn(self._turns, device, self.worker.check_device) as turn,
            ):
                worker = replace(self.worker, stop=stop, turn=turn)
                self._ended.put(Ended(task, *execute_task(task, worker)))
        except Interrupted:
            self._ended.put(Ended(task, "lost", STOPPED))
        except Exception as error:
            self._ended.put(error)
