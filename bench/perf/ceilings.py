"""The arithmetic that a device reaches at best: the product of two large matrices."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from bench.training.device import cpu_threads, seconds_per_iteration

SIDES = {"cpu": 2048, "cuda": 8192}  # of the matrices
BLOCKS, BLOCK_SECONDS = 8, 0.15  # the fastest block counts


def bfloat16_units(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return the instructions of the processor that multiply bfloat16, as Linux names them."""
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:  # not Linux
        return []
    return [name for name in ("amx_bf16", "avx512_bf16", "bf16") if name in flags]


def measure_ceilings(device: torch.device, threads: Collection[int]) -> list[dict[str, Any]]:
    """Return the floating-point operations a second of each precision and number of CPU threads."""
    on_gpu = device.type == "cuda"
    precisions = ("float32", "tf32", "bfloat16") if on_gpu else ("float32", "bfloat16")
    return [
        {
            "precision": precision,
            "threads": count,
            "flop_per_second": product_speed(device, precision, count),
        }
        for precision in precisions
        for count in sorted(threads)
    ]


def product_speed(device: torch.device, precision: str, threads: int) -> float:
    """Return the floating-point operations a second of a product in a precision.

    The numbers are random: with zeros or ones a processor draws less power and keeps a higher
    clock, so that it looks faster than in any training.
    """
    side = SIDES[device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = precision == "tf32"

    def multiply(step: int) -> None:
        torch.mm(a, b, out=out)

    try:
        with cpu_threads(threads):
            seconds_per_iteration(multiply, device, 0, 1)
            pace = seconds_per_iteration(multiply, device, 0, 1)
            count = max(1, round(BLOCK_SECONDS / pace))
            best = min(seconds_per_iteration(multiply, device, 0, count) for _ in range(BLOCKS))
    finally:
        matmul.allow_tf32 = before
    return float(2 * side**3 / best)
