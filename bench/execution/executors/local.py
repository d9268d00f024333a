"""A pool of processes on this machine, one for each slot.

A process imports torch once and does one task after the other. It has a session of its own, so
that Ctrl-C reaches it once, by way of its parent; it saves and ends when its parent is gone.
Processes are spawned, not forked, since a fork of a process that uses CUDA is broken.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import torch

from bench.console import redirect_messages, say
from bench.errors import DeviceLost, Interrupted
from bench.execution.executors.base import STOPPED, Ended, Executor
from bench.execution.task import Task, execute_task
from bench.process.cores import usable_cores
from bench.process.stop_signal import STOPPING, StopSignal
from bench.process.worker import Worker
from bench.spec.run_settings import AtLeastOne

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class _Slot:
    """A process of the pool, the pipe to it, and what it does."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None


class Local(Executor):
    """An executor that runs tasks in processes on this machine.

    Cores are divided among the slots. Of several GPUs, a process sees only its own.

    Args:
        jobs: Number of slots; as many as the GPUs take, else one for each core, where None.
        worker: What every process gets, but for loaded data.
        per_gpu: Runs that share a GPU, which bounds the number of slots. Without it `jobs` has no
            bound, and each GPU takes one where `jobs` is not given.
    """

    def __init__(
        self, jobs: int | None, worker: Worker, *, per_gpu: AtLeastOne | None = None
    ) -> None:
        self.worker = worker
        self._gpus = _gpus() if worker.device_name in ("auto", "cuda") else []
        room = len(self._gpus) * (per_gpu or 1)
        self.slots = jobs or room or usable_cores()
        if per_gpu is not None and room:
            self.slots = min(self.slots, room)
        self.asked = jobs or self.slots
        self._pool: dict[int, _Slot] = {}

    def __str__(self) -> str:
        text = f"on {self.worker.device}, {self.slots} at a time"
        if self.slots < self.asked:
            text += f" ({self.asked} were asked for, per_gpu takes no more)"
        if self._gpus:
            most = -(-self.slots // len(self._gpus))
            gb = torch.cuda.get_device_properties(0).total_memory / most / 2**30
            text += f", at most {most} on a GPU: {gb:.1f} GB for each"
            if most > 1 and not _mps_runs():
                text += "; processes take turns at a GPU unless NVIDIA MPS runs"
        return text

    def start(self, tasks: Sequence[Task]) -> None:
        """Give each task to an idle process, or to a new one."""
        idle = [slot for slot in self._pool.values() if slot.task is None]
        for task in tasks:
            slot = idle.pop() if idle else self._open_slot()
            slot.task = task
            with suppress(BrokenPipeError):  # it died just now: `ended` finds out
                slot.pipe.send(task)

    def ended(self, seconds: float) -> list[Ended]:
        """Return what has ended; the end of a process is noticed at once."""
        ended = []
        ready = connection.wait([slot.pipe for slot in self._pool.values()], seconds)
        for number, slot in list(self._pool.items()):
            if slot.pipe not in ready:
                continue
            try:
                message = slot.pipe.recv()
            except (EOFError, OSError):
                message = "lost", self._close_slot(number)
            if isinstance(message, str):  # a line for the console, which this process alone uses
                say(message)
                continue
            task, slot.task = slot.task, None
            if message[0] == "lost" and number in self._pool:
                self._close_slot(number)  # it is leaving by itself
            if task is not None:
                ended.append(Ended(task, *message))
        return ended

    def close(self) -> None:
        """Ask all processes to save and end; a second Ctrl-C kills them."""
        slots = list(self._pool.values())
        try:
            for slot in slots:
                slot.process.terminate()
            for slot in slots:
                slot.process.join()
        finally:
            for slot in slots:
                slot.process.kill()
                slot.pipe.close()
            self._pool.clear()

    def _open_slot(self) -> _Slot:
        number = next(number for number in range(self.slots) if number not in self._pool)
        pipe, far_end = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(far_end, self.worker), name=f"bench slot {number}", daemon=True
        )
        resource_tracker.ensure_running()  # otherwise it would unblock the signals blocked here
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until it can handle them
        try:
            with _environment(self._variables(number)):
                process.start()
            far_end.close()  # now the pipe ends when the process does
            self._pool[number] = _Slot(process, pipe)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._pool[number]

    def _close_slot(self, number: int) -> str:
        """Remove a process that has ended, and return why it did."""
        slot = self._pool.pop(number)
        slot.process.join()
        slot.pipe.close()
        code = slot.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "was killed (as the system does when memory runs out; fewer --jobs may help)"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def _variables(self, number: int) -> dict[str, str]:
        """Return the environment of a process, which torch reads when it is imported."""
        share = max(1, usable_cores() // self.slots)
        variables = dict.fromkeys(THREADS, str(self.worker.threads or share))
        if len(self._gpus) > 1:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus[number % len(self._gpus)]
        return variables


def _gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return named[:count] if named[0] else [str(index) for index in range(count)]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a while, and touch no other: another thread may be reading them."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _serve(pipe: Connection, worker: Worker) -> None:
    """Do the tasks that come through the pipe, until it ends or a signal asks to stop."""
    os.setsid()
    threading.Thread(target=_follow_parent, daemon=True).start()
    worker.stop = StopSignal(quiet=True)

    def send(message: str | tuple[str, str]) -> None:
        with suppress(OSError):  # the parent is gone
            pipe.send(message)

    redirect_messages(send)
    with suppress(EOFError, BrokenPipeError, Interrupted), worker.stop.listening():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        while not worker.stop():  # a request that came while a task ended is not repeated
            try:
                pipe.send(execute_task(pipe.recv(), worker))
            except DeviceLost as error:
                send(("lost", str(error)))
                return
    if worker.stop():
        send(("lost", STOPPED))


def _follow_parent() -> None:
    """Ask this process to stop when its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _mps_runs() -> bool:
    """Return whether NVIDIA's Multi-Process Service seems to run: its daemon has a pipe there."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")
    return os.path.exists(os.path.join(folder, "control"))
