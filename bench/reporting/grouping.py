"""Grouping and thinning in the order of the record."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

import numpy as np

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return the values of each key, in the order of the pairs.

    >>> grouped([("b", 1), ("a", 2), ("b", 3)])
    {'b': [1, 3], 'a': [2]}
    """
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def evenly_spaced(count: int, most: int) -> list[int]:
    """Return at most `most` of `count` indices, the first and the last among them.

    >>> evenly_spaced(3, 5), evenly_spaced(9, 3)
    ([0, 1, 2], [0, 4, 8])
    """
    return [int(index) for index in np.linspace(0, count - 1, min(count, most)).round()]
