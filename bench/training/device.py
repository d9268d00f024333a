"""Settings of torch on a device during a training, and timing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bench.spec.run_settings import Training


@contextmanager
def numerics(training: Training, *, autotune: bool = False) -> Iterator[None]:
    """Let torch compute as a configuration says, and restore its settings afterwards.

    Inputs of convolutions and products are rounded to TensorFloat-32 only in precision `tf32`, not
    by torch's default. With `autotune`, cuDNN times its algorithms on each new shape.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(training.deterministic or deterministic)
    matmul.allow_tf32 = cudnn.allow_tf32 = training.precision == "tf32"
    cudnn.benchmark = autotune and not training.deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


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
