"""Randomness as a function of (run seed, purpose, counter), so no random state is ever saved.

One more number drawn in one place shifts no numbers of another, and a resumed run draws what the
uninterrupted one would have drawn.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_for(run_seed: int, *path: str | int) -> int:
    """Return the seed of one named stream, in `[0, 2**63)`, the same on every machine.

    `path` is the purpose and its counters, for example `"order", epoch`.

    >>> seed_for(0, "train", 1) == seed_for(0, "train", 1)
    True
    >>> seed_for(0, "train", 1) == seed_for(0, "train", "1")
    False
    """
    digest = hashlib.sha256(repr((run_seed, *path)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_for(run_seed: int, *path: str | int) -> "torch.Generator":
    """Return a new generator for one named stream, on the CPU: the same numbers on any device."""
    import torch

    return torch.Generator().manual_seed(seed_for(run_seed, *path))
