"""Which tables repeat the numbers of others."""

from collections.abc import Sequence

from bench.reporting.render.headings import CellText, row_texts
from bench.reporting.tables.table import Table


def repeats(tables: Sequence[Table]) -> list[bool]:
    """Return for each table whether another one has all of its numbers, and more."""
    numbers = [_numbers(table) for table in tables]
    return [any(own < other for other in numbers) for own in numbers]


def _numbers(table: Table) -> set[tuple[str, tuple[str, ...], CellText]]:
    """Return what a table prints, each with its row and column."""
    return {
        (row.label, column.key, text)
        for row in table.rows
        for column, text in zip(table.columns, row_texts(row, table), strict=True)
    }
