"""A table as CSV: one line per cell, numbers exact, no notes.

Differences and robust statistics of a cell are columns; those at the end came last.
"""

from bench.record.files import to_csv
from bench.reporting.tables.table import Table

_CELL = (
    *("table", "row", "sweep", "variant", "data", "metric", "protocol"),
    *("kind", "mean", "half_width", "n", "target"),
)
_DIFFERENCE = {
    "reference": "to",
    "difference": "mean",
    "difference_half_width": "half_width",
    "common_seeds": "n",
    "p": "p",
    "p_holm": "adjusted",
    "verdict": "verdict",
}
"""Columns of the file -> attributes of a difference."""

_ROBUST = ("iqm", "low", "high", "improvement")
_TARGET = ("error", "target_error", "gap_half_width")


def render_csv(table: Table) -> str:
    """Return a table as CSV with a header."""
    lines = [
        [
            *(table.name, row.title, row.sweep, row.variant, column.data, column.metric),
            *(column.protocol, cell.kind, cell.mean, cell.half_width, cell.n or None, cell.target),
            *(getattr(cell.difference, name, None) for name in _DIFFERENCE.values()),
            *(getattr(cell.robust, name, None) for name in _ROBUST),
            *(getattr(cell, name) for name in _TARGET),
            (cell.difference.comparisons or None) if cell.difference else None,
            table.selection,
        ]
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if column.view == "value"
    ]
    return to_csv([*_CELL, *_DIFFERENCE, *_ROBUST, *_TARGET, "comparisons", "selection"], lines)
