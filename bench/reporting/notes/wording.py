"""Rows, seeds and lists as words under a table."""

from collections.abc import Iterable

from bench.reporting.grouping import grouped


def listed(values: Iterable[object]) -> str:
    """Return values with commas between them; labels of rows may hold commas and take "; "."""
    return ", ".join(map(str, values))


def seeds_text(numbers: Iterable[int | None]) -> str:
    """Return seeds for display, in any order, as numbers and spans; empty where there are none.

    >>> seeds_text([2, 0, 1, None, 4, 2]), seeds_text([7])
    ('seeds 0-2, 4', 'seed 7')
    """
    seeds = sorted({number for number in numbers if number is not None})
    spans = grouped((seed - index, seed) for index, seed in enumerate(seeds)).values()
    parts = [f"{span[0]}-{span[-1]}" if len(span) > 2 else listed(span) for span in spans]
    return f"seed{'s' * (len(seeds) > 1)} {listed(parts)}" if parts else ""
