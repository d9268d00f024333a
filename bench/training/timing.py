"""Time on a device, which goes on working after a call has returned."""

import time
from collections.abc import Callable

import torch


def seconds_per_iteration(
    iterate: Callable[[int], None],
    device: torch.device,
    first: int,
    count: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the mean duration of `count` iterations, beginning with number `first`."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
    wait(device)
    began = clock()
    for step in range(first, first + count):
        iterate(step)
    wait(device)
    return (clock() - began) / count
