"""What torch may do to the numbers of a training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.spec.run_settings import Training


@contextmanager
def numerics(training: Training, *, autotune: bool = False) -> Iterator[None]:
    """Let torch compute as a configuration says for a while.

    By itself torch rounds what goes into convolutions on a GPU to TensorFloat-32; here that takes
    a `precision` that says so. On a CPU, and on GPUs without it, `tf32` is `float32`.

    Args:
        training: The configuration.
        autotune: Whether cuDNN times its algorithms on each new shape and takes the fastest.

    Yields:
        Nothing.
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
