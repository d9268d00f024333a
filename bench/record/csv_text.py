"""CSV text: the same values, the same bytes."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

import pandas as pd


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return CSV text: lines end in a line feed, floats are exact, nothing is an empty field.

    Args:
        header: Names of the columns.
        rows: The values.

    Returns:
        The text.

    Example:
        >>> to_csv(["n", "value"], [(1, 0.1), (None, float("nan"))])
        'n,value\n1,0.1\n,\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_field(value) for value in row] for row in rows)
    return buffer.getvalue()


def _field(value: object) -> str:
    """Return a value as it stands in a file."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return "" if value is None or value is pd.NA else str(value)
