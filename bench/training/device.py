"""Settings of torch on a device during a training, and timing."""

import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from bench.console import warn
from bench.spec.run_settings import Training

NO_DETERMINISTIC_KERNEL = r"(\S+) does not have a deterministic implementation"
EXPECTED_WARNINGS = (
    "Synchronization debug mode is a prototype",
    "TensorFloat32 tensor cores for float32 matrix multiplication available but not enabled",
)
"""Beginnings of torch's warnings about what the harness does on purpose."""


@contextmanager
def numerics(training: Training, device: torch.device, *, autotune: bool = False) -> Iterator[None]:
    """Let torch compute as a configuration says, and restore its settings afterwards.

    Inputs of convolutions and products are rounded to TensorFloat-32 only in precision `tf32`, not
    by torch's default. A GPU uses deterministic kernels where there are any, without which no
    resumed run would give the same bits; only `deterministic` refuses operations that have none.
    With `autotune`, cuDNN times its algorithms on each new shape, the others included. cuDNN
    remembers its choices by shape and by whether they had to be deterministic, so the two go
    together: an algorithm that was chosen without a timing is not found again.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    filling: Any = torch.utils.deterministic
    enabled, warns, fills = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        filling.fill_uninitialized_memory,
    )
    exact = device.type == "cuda" and not autotune
    if training.deterministic:
        torch.use_deterministic_algorithms(True)
    elif exact and not enabled:
        torch.use_deterministic_algorithms(True, warn_only=True)
        filling.fill_uninitialized_memory = False  # costs time, hides no error
    cudnn.deterministic = exact or training.deterministic
    cudnn.benchmark = autotune and not training.deterministic
    matmul.allow_tf32 = cudnn.allow_tf32 = training.precision == "tf32"
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        filling.fill_uninitialized_memory = fills
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


@contextmanager
def torch_warnings_settled() -> Iterator[None]:
    """Say once which operations have no deterministic kernel; drop `EXPECTED_WARNINGS`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    without_kernel = dict[str, None]()
    for warning in caught:
        text = str(warning.message)
        if match := re.match(NO_DETERMINISTIC_KERNEL, text):
            without_kernel[match[1]] = None
        elif not text.startswith(EXPECTED_WARNINGS):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if without_kernel:
        warn(
            f"no deterministic kernel on this device: {', '.join(without_kernel)}; a training "
            "that is resumed or repeated may differ in last digits (deterministic: true refuses)"
        )


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch compute with that many CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
