"""Rows, seeds and lists as words under a table."""

from collections.abc import Iterable, Sequence

from bench.reporting.grouping import grouped


def listed(values: Iterable[object]) -> str:
    """Return values with commas between them, or with semicolons where one has a comma itself."""
    texts = [*map(str, values)]
    return ("; " if any("," in text for text in texts) else ", ").join(texts)


def seeds_text(numbers: Iterable[int | None]) -> str:
    """Return seeds for display, in any order, as numbers and spans; empty where there are none.

    >>> seeds_text([2, 0, 1, None, 4, 2]), seeds_text([7])
    ('seeds 0-2, 4', 'seed 7')
    """
    seeds = sorted({number for number in numbers if number is not None})
    spans = grouped((seed - index, seed) for index, seed in enumerate(seeds)).values()
    parts = [f"{span[0]}-{span[-1]}" if len(span) > 2 else listed(span) for span in spans]
    return f"seed{'s' * (len(seeds) > 1)} {listed(parts)}" if parts else ""


def counts_text(per_class: int | Sequence[int]) -> str:
    """Return how many images of each class there are; of unknown class if there is one number.

    >>> counts_text(5), counts_text([5, 900, 30]), counts_text([40])
    ('5 of each class', '5 to 900 of each class', '40 without labels')
    """
    if isinstance(per_class, int):
        return f"{per_class} of each class"
    if len(per_class) == 1:
        return f"{per_class[0]} without labels"
    return f"{min(per_class)} to {max(per_class)} of each class"
