"""Turns of the threads of one process.

Settings of torch belong to a whole process, so one thread works at a time. On a GPU what the others
have launched goes on meanwhile.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

import torch

from bench.training.cuda_streams import CudaLane


class Turns:
    """A lock that threads pass on in the order in which they asked for it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    def take(self) -> None:
        """Wait until nobody else has the turn."""
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return
            called = threading.Event()
            self._waiting.append(called)
        called.wait()

    def give(self) -> None:
        """Let the thread go on that has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False

    @property
    def are_awaited(self) -> bool:
        """Whether another thread waits."""
        return bool(self._waiting)


class Turn:
    """A thread's part in the turns, on a CUDA stream of its own: work within `with`.

    `wait_for_device` is called at its begin and end: what a thread has launched is complete when it
    leaves, so that others can use it. It may raise, and the turn is given to the next thread.
    """

    def __init__(
        self, turns: Turns, device: torch.device, wait_for_device: Callable[[], None]
    ) -> None:
        self._turns = turns
        self._wait_for_device = wait_for_device
        self._lane = CudaLane(device) if device.type == "cuda" else None
        self._settings = ExitStack()

    def __enter__(self) -> "Turn":
        self._turns.take()
        try:
            self._wait_for_device()
            self._set()
        except BaseException:
            self._turns.give()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._wait_for_device()
        finally:
            self._settings.close()
            self._turns.give()

    def pass_on(self) -> None:
        """Let every thread that waits work until it passes on, too."""
        if not self._turns.are_awaited:
            return
        threads = torch.get_num_threads()
        self._settings.close()
        self._turns.give()
        self._turns.take()
        torch.set_num_threads(threads)
        self._set()

    def _set(self) -> None:
        if self._lane is not None:
            self._settings.enter_context(self._lane.used())
