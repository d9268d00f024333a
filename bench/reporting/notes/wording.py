"""How rows, seeds and lists are put into words under a table."""

from collections.abc import Iterable, Sequence


def listed(values: Iterable[object]) -> str:
    """Return values with commas between them."""
    return ", ".join(str(value) for value in values)


def rows_listed(labels: Iterable[str]) -> str:
    """Return labels of rows with semicolons between them, since a label may hold a comma."""
    return "; ".join(labels)


def first_few(values: Sequence[str], most: int, between: str = ", ") -> str:
    """Return no more than so many values, and how many are left out.

    >>> first_few(["a", "b", "c"], 2), first_few(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return between.join(values[:most]) + more


def seeds_text(numbers: Iterable[int]) -> str:
    """Return seeds for people, in any order, as numbers and spans; empty where there are none.

    >>> seeds_text([2, 0, 1, 4, 2]), seeds_text([7])
    ('seeds 0-2, 4', 'seed 7')
    """
    seeds = sorted(set(numbers))
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][-1] + 1:
            spans[-1].append(seed)
        else:
            spans.append([seed])
    parts = [f"{span[0]}-{span[-1]}" if len(span) > 2 else listed(span) for span in spans]
    return f"seed{'s' * (len(seeds) > 1)} {listed(parts)}" if parts else ""
