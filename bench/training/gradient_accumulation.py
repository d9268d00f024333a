"""A batch in several parts, where memory does not suffice for the whole; its effective size stays.

Gradients and terms of the parts are added up with weights by rows. Terms are means over rows, so
that is the pass on the whole batch within rounding, except for what looks at several rows at once.
Batch norm takes its statistics from each part, and moves its averages once a part. Noise is drawn
part by part: other noise, of the same distribution.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import gcd

import torch
from torch import Tensor

from bench.training.interface import Batch

Gradients = dict[str, list[Tensor]]
"""Player -> one gradient a parameter."""

_MESSAGES = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class OutOfMemory(Exception):
    """An iteration needed more memory than there is.

    Args:
        step: The iteration, from 0.
        reason: What the allocator said, in a line.
    """

    def __init__(self, step: int, reason: str) -> None:
        self.step = step
        self.reason = reason
        super().__init__(f"out of memory at iteration {step}: {reason}")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on whichever device.

    Where that ends the capture of a graph, the end of the capture raises an error of its own.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES):
        return True
    return error.__context__ is not None and is_out_of_memory(error.__context__)


def memory_reason(error: BaseException) -> str:
    """Return what an allocator said, in a line."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


@contextmanager
def telling_memory(step: int) -> Iterator[None]:
    """Turn errors of allocators into `OutOfMemory`.

    Args:
        step: The iteration, from 0.

    Yields:
        Nothing.

    Raises:
        OutOfMemory: If memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(step, memory_reason(error)) from None


def halved(rows: int, batch_size: int, labeled: int) -> int | None:
    """Return the next smaller number of rows that a batch can be played in.

    Where some rows carry no label, every part has the same share of labeled rows: terms may be
    means over those alone.

    Args:
        rows: The number so far.
        batch_size: Rows of a batch.
        labeled: How many of them, the leading ones, carry a label.

    Returns:
        About half of it; None if there is nothing smaller.

    Example:
        >>> halved(96, 96, 96), halved(3, 5, 5), halved(1, 96, 96)
        (48, 2, None)
        >>> halved(96, 96, 36), halved(24, 96, 36), halved(8, 96, 36)  # parts of 3 and 5 at least
        (48, 8, None)
    """
    parts = -(-batch_size // rows)
    if labeled in (0, batch_size):
        return -(-batch_size // min(2 * parts, batch_size)) if rows > 1 else None
    common = gcd(labeled, batch_size - labeled)
    allowed = [n for n in range(2 * parts, common + 1) if common % n == 0]
    return batch_size // allowed[0] if allowed else None


def split(batch: Batch, rows: int) -> list[tuple[float, Batch]]:
    """Return the parts of a batch, each with its share of the rows.

    Args:
        batch: The draw.
        rows: Rows of a part, as `halved` returns them; parts may have one row less.

    Returns:
        Shares, which sum to 1, and parts; one part where `rows` are as many as the batch has.
    """
    size = len(batch.x)
    parts = -(-size // rows)
    kinds = [(slice(0, batch.labeled)), slice(batch.labeled, size)]
    pieces = []
    for kind in kinds:
        x, y = batch.x[kind], batch.y[kind]
        pieces.append(list(zip(x.tensor_split(parts), y.tensor_split(parts), strict=True)))
    return [
        ((len(a) + len(b)) / size, Batch(torch.cat((a, b)), torch.cat((c, d)), len(a)))
        for (a, c), (b, d) in zip(*pieces, strict=True)
    ]


def accumulate(
    descend: Callable[[Batch], tuple[Tensor, Gradients]], parts: Sequence[tuple[float, Batch]]
) -> tuple[Tensor, Gradients]:
    """Return terms and gradients of a batch, from those of its parts.

    Args:
        descend: Returns the terms `[T]` and the gradients of a part; nothing moves there.
        parts: Shares and parts.

    Returns:
        The same for the whole batch.
    """
    values: Tensor | None = None
    gradients: Gradients = {}
    for share, part in parts:
        found_values, found = descend(part)
        scaled = share * found_values
        values = scaled if values is None else values + scaled
        for player, own in found.items():
            before = gradients.get(player)
            gradients[player] = list(
                torch._foreach_mul(own, share)
                if before is None
                else torch._foreach_add(before, own, alpha=share)
            )
    assert values is not None
    return values, gradients
