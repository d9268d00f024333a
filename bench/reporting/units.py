"""Units in which the numbers of an axis have few zeros."""

import re
from dataclasses import replace

from bench.record.quantities import Quantity

LADDERS: tuple[dict[str, float], ...] = (
    {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "h": 3600.0},
    {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15},
    {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40},
)
"""Units of one kind, the smallest first: time, counts, memory."""

UNIT = re.compile(r"(?P<what>.+) \((?P<unit>[^ )]+)\)")


def fit_unit(quantity: Quantity, largest: float) -> Quantity:
    """Return a quantity in the largest unit in which its `largest` value, unscaled, is at least 1.

    Titles without a unit of time, count or memory stay as they are.

    >>> fit_unit(Quantity("Training (s)"), 0.000012).title
    'Training (µs)'
    >>> fit_unit(Quantity("MACs / sample (M)", scale=1e-6), 6e9)
    Quantity(title='MACs / sample (G)', direction=None, decimals=None, scale=1e-09)
    """
    match = UNIT.fullmatch(quantity.title)
    ladder = next((of for of in LADDERS if match and match["unit"] in of), None)
    if match is None or ladder is None or not largest:
        return quantity
    base = ladder[match["unit"]]  # the unit in which the quantity is scaled now
    value = largest * quantity.scale * base
    fitting = [unit for unit, size in ladder.items() if size <= value]
    unit = fitting[-1] if fitting else next(iter(ladder))
    title = f"{match['what']} ({unit})" if unit else match["what"]
    return replace(quantity, title=title, scale=quantity.scale * base / ladder[unit], decimals=None)
