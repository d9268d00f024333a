"""Time on a device, which goes on working after a call has returned."""

import time
from collections.abc import Callable
from typing import Protocol

import torch


class Iterating(Protocol):
    """A training that can be timed."""

    device: torch.device

    def iterate(self, step: int) -> None:
        """Train one iteration."""
        ...


def seconds_per_iteration(
    training: Iterating, first: int, count: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the mean duration of `count` iterations, beginning with number `first`."""
    synchronize(training.device)
    began = clock()
    for step in range(first, first + count):
        training.iterate(step)
    synchronize(training.device)
    return (clock() - began) / count


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all work that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
