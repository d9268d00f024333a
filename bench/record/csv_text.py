"""CSV text: the same values give the same bytes."""

import csv
import io
from collections.abc import Iterable, Sequence


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return CSV text: lines end in a line feed, floats are exact, None is an empty field.

    >>> to_csv(["n", "value"], [(1, 0.1), (None, 2.0)])
    'n,value\n1,0.1\n,2.0\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    # float() also turns NumPy's numbers into those that repr writes exactly and plainly
    writer.writerows(
        [repr(float(value)) if isinstance(value, float) else value for value in row] for row in rows
    )
    return buffer.getvalue()
