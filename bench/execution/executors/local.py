"""A pool of processes on this machine, a slot for each.

A worker imports torch once and does one task after the other. It has a session of its own, so that
Ctrl-C reaches it once, through its parent; and it watches its parent, without which it saves and
ends. Processes are spawned, not forked, since a fork of a process that uses CUDA is broken.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import torch

from bench.console import redirect_messages, say
from bench.errors import BenchError, Interrupted
from bench.execution.executors.base import STOPPED, Ended, Executor
from bench.execution.task import Task, perform
from bench.process.stop_signal import STOPPING, StopSignal
from bench.process.worker import Worker

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class _Line:
    """Something that a worker says; its parent has the console to itself."""

    text: str


@dataclass
class _Worker:
    """A process, and what it is at."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None


class Local(Executor):
    """Does tasks in processes on this machine.

    Cores are divided among the slots. Where there are several GPUs, the slots take turns at
    them, and a worker sees its own alone.

    Args:
        jobs: Number of slots; as many as the GPUs take, else one for each core, where None.
        workplace: What every worker gets, but for what it has loaded.
        per_gpu: Runs that share a GPU; more slots than these are not opened. Without it nothing
            bounds `jobs`, and each GPU takes one where `jobs` is not given.
    """

    def __init__(self, jobs: int | None, workplace: Worker, *, per_gpu: int | None = None) -> None:
        if per_gpu is not None and per_gpu < 1:
            raise BenchError(f"executor local: per_gpu must be at least 1, got {per_gpu}")
        self.workplace = workplace
        self._gpus = _gpus() if workplace.device_name in ("auto", "cuda") else []
        room = len(self._gpus) * (per_gpu or 1)
        self.slots = jobs or room or torch.get_num_threads()
        if per_gpu is not None and room:
            self.slots = min(self.slots, room)
        self.asked = jobs or self.slots
        self._workers: dict[int, _Worker] = {}

    def __str__(self) -> str:
        text = f"on {self.workplace.device}, {self.slots} at a time"
        if self.slots < self.asked:
            text += f" ({self.asked} were asked for, per_gpu takes no more)"
        if self._gpus:
            most = -(-self.slots // len(self._gpus))
            gb = torch.cuda.get_device_properties(0).total_memory / most / 2**30
            text += f", at most {most} on a GPU: {gb:.1f} GB for each"
        return text

    def start(self, tasks: Sequence[Task]) -> None:
        """Give each task to an idle worker, or to a new one."""
        idle = [worker for worker in self._workers.values() if worker.task is None]
        for task in tasks:
            worker = idle.pop() if idle else self._hire()
            worker.task = task
            with suppress(BrokenPipeError):  # it died just now: `ended` finds out
                worker.pipe.send(task)

    def ended(self, seconds: float) -> list[Ended]:
        """Return what has ended; the end of a worker is noticed at once."""
        found = []
        ready = connection.wait([worker.pipe for worker in self._workers.values()], seconds)
        for slot, worker in list(self._workers.items()):
            if worker.pipe not in ready:
                continue
            try:
                told = worker.pipe.recv()
            except (EOFError, OSError):
                told = "lost", self._bury(slot)
            if isinstance(told, _Line):
                say(told.text)
                continue
            task, worker.task = worker.task, None
            if task is not None:
                found.append(Ended(task, *told))
        return found

    def close(self) -> None:
        """Ask all workers to save and end; a second Ctrl-C kills them."""
        workers = list(self._workers.values())
        try:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.process.join()
        finally:
            for worker in workers:
                worker.process.kill()
                worker.pipe.close()
            self._workers.clear()

    def _hire(self) -> _Worker:
        slot = next(slot for slot in range(self.slots) if slot not in self._workers)
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(theirs, self.workplace), name=f"bench slot {slot}", daemon=True
        )
        resource_tracker.ensure_running()  # which would open the gate that is shut here
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until a worker can handle it
        try:
            with _environment(self._variables(slot)):
                process.start()
            theirs.close()  # now the pipe ends when the worker does
            self._workers[slot] = _Worker(process, ours)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._workers[slot]

    def _bury(self, slot: int) -> str:
        """Remove a dead worker, and return what it died of."""
        worker = self._workers.pop(slot)
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "was killed (as the system does when memory runs out; fewer --jobs may help)"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}" if code else STOPPED

    def _variables(self, slot: int) -> dict[str, str]:
        """Return the environment of a slot, which torch reads when it is imported."""
        share = max(1, torch.get_num_threads() // self.slots)
        found = dict.fromkeys(THREADS, str(self.workplace.threads or share))
        if len(self._gpus) > 1:
            found["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return found


def _gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return named[:count] if named[0] else [str(index) for index in range(count)]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a while, and touch no other: some other thread may be reading them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: Connection, workplace: Worker) -> None:
    """Do what comes through the pipe, until it ends or someone asks to stop."""
    os.setsid()
    threading.Thread(target=_follow_parent, daemon=True).start()
    workplace.stop = StopSignal(quiet=True)
    redirect_messages(partial(_say_through, pipe))
    with suppress(EOFError, BrokenPipeError, Interrupted), workplace.stop.listening():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        while not workplace.stop():  # asked while a task came to its end, it is not asked again
            pipe.send(perform(pipe.recv(), workplace))


def _say_through(pipe: Connection, text: str) -> None:
    with suppress(OSError):  # nobody listens any more
        pipe.send(_Line(text))


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
