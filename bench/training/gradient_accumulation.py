"""Gradient accumulation: a batch in micro-batches, where memory does not suffice for the whole.

Gradients and terms are summed by shares of the examples. The sum is that of the whole batch within
rounding, but for batch norm and noise, which are computed part by part.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import gcd

import torch
from torch import Tensor

from bench.errors import first_line
from bench.training.interface import Batch

Gradients = dict[str, list[Tensor]]
"""Player -> one gradient for each of its parameters."""

_MESSAGES = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class OutOfMemory(Exception):
    """An iteration, counted from 0, or its capture as a graph needed more memory than there is."""

    def __init__(self, step: int, reason: str, *, in_capture: bool = False) -> None:
        self.step = step
        self.reason = reason
        self.in_capture = in_capture
        super().__init__(f"out of memory at iteration {step}: {reason}")


def allocator_message(error: BaseException | None) -> str | None:
    """Return an allocator's message in one line, or None if an error has another cause.

    Memory that runs out while a graph is captured is the context of an error that this raises.
    """
    if error is None:
        return None
    is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if is_memory or (isinstance(error, RuntimeError) and any(m in str(error) for m in _MESSAGES)):
        return first_line(error)
    return allocator_message(error.__context__)


@contextmanager
def out_of_memory_at(step: int, *, in_capture: bool = False) -> Iterator[None]:
    """Turn errors of allocators into `OutOfMemory` of an iteration."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if (reason := allocator_message(error)) is None:
            raise
        raise OutOfMemory(step, reason, in_capture=in_capture) from None


def halved(size: int, batch_size: int, labeled: int) -> int | None:
    """Return about half of a micro-batch's size, or None if there is nothing smaller.

    If only the first `labeled` examples of a batch carry a label, every part has the same share of
    them, since terms may be means over those alone.

    >>> halved(96, 96, 96), halved(3, 5, 5), halved(1, 96, 96)
    (48, 2, None)
    >>> halved(96, 96, 36), halved(24, 96, 36), halved(8, 96, 36)  # parts of 3 and 5 at least
    (48, 8, None)
    """
    parts = -(-batch_size // size)
    if labeled in (0, batch_size):
        return -(-batch_size // min(2 * parts, batch_size)) if size > 1 else None
    common = gcd(labeled, batch_size - labeled)
    allowed = [n for n in range(2 * parts, common + 1) if common % n == 0]
    return batch_size // allowed[0] if allowed else None


def split(batch: Batch, size: int) -> list[tuple[float, Batch]]:
    """Return micro-batches of about that size, with their shares of the batch.

    With examples of both kinds, each has the same share of labeled ones, as in `halved`.
    """
    examples, others = len(batch.x), len(batch.x) - batch.labeled
    parts = -(-examples // size)
    if batch.labeled and others:
        common = gcd(batch.labeled, others)
        parts = next((n for n in range(parts, common + 1) if common % n == 0), common)
    pieces = []
    for kind in (slice(0, batch.labeled), slice(batch.labeled, examples)):
        x, y = batch.x[kind], batch.y[kind]
        pieces.append(list(zip(x.tensor_split(parts), y.tensor_split(parts), strict=True)))
    return [
        ((len(a) + len(b)) / examples, Batch(torch.cat((a, b)), torch.cat((c, d)), len(a)))
        for (a, c), (b, d) in zip(*pieces, strict=True)
    ]


def accumulate(
    differentiate: Callable[[Batch], tuple[Tensor, Gradients]],
    parts: Sequence[tuple[float, Batch]],
) -> tuple[Tensor, Gradients]:
    """Return terms `[T]` and gradients of a batch from those of its micro-batches."""
    (share, first), *others = parts
    values, gradients = differentiate(first)
    values = share * values
    gradients = {player: list(torch._foreach_mul(g, share)) for player, g in gradients.items()}
    for share, part in others:
        part_values, part_gradients = differentiate(part)
        values = values + share * part_values
        for player, more in part_gradients.items():
            gradients[player] = list(torch._foreach_add(gradients[player], more, alpha=share))
    return values, gradients
