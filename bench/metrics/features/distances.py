"""Distances between points, such as features of images: a block of them in memory at a time."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

BLOCK = 2**21  # pairs of points that are in memory at a time


def blocks(points: Tensor, others: Tensor) -> Sequence[Tensor]:
    """Return points `[N, D]` in parts, each of which makes about `BLOCK` pairs with the others."""
    return torch.split(points, max(1, BLOCK // len(others)))


def distances(first: Tensor, second: Tensor) -> Iterator[Tensor]:
    """Yield the Euclidean distances `[B, M]` of points from `second`, a block of `first` at a time.

    By inner products, which are faster, equal points would have a distance of about 1e-8.
    """
    for block in blocks(first, second):
        yield torch.cdist(block, second, compute_mode="donot_use_mm_for_euclid_dist")


def radii(points: Tensor, k: int) -> Tensor:
    """Return the distance of each of more than `k` points from its `k`-th nearest other one."""
    # The nearest of all is the point itself, at a distance of exactly 0. Unlike `kthvalue`, `topk`
    # is deterministic on a GPU.
    parts = distances(points, points)
    return torch.cat([part.topk(k + 1, dim=1, largest=False).values[:, k] for part in parts])


def nearest_points(
    points: Tensor, others: Tensor, itself: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the distance of each point `[N, D]` from the nearest of `others` `[M, D]`, and which.

    Inner products find it, and its distance, in `float64`, is that of the difference: copies have
    exactly 0. `itself` `[N]` is which of the others a point is, and is not looked at; -1 for none.
    The distance is infinite where no other is left.

    >>> nearest_points(torch.tensor([[1.0], [9.0]]), torch.tensor([[0.0], [9.0]]))
    (tensor([1., 0.], dtype=torch.float64), tensor([0, 1]))
    """
    others = others.double()
    squares = others.square().sum(dim=1)
    numbers = torch.arange(len(others), device=others.device)
    found, which = [], []
    parts = blocks(points, others)
    of_parts = [None] * len(parts) if itself is None else blocks(itself, others)
    for block, own in zip(parts, of_parts, strict=True):
        block = block.double()
        scores = torch.addmm(squares, block, others.T, alpha=-2)
        if own is not None:
            scores[own[:, None] == numbers] = torch.inf
        places = scores.argmin(dim=1)
        distances = (block - others[places]).norm(dim=1)
        distances[scores.isinf().all(dim=1)] = torch.inf
        found.append(distances)
        which.append(places)
    return torch.cat(found), torch.cat(which)
