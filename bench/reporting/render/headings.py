"""What every form of a table says alike: its title, its headings, its cells as text."""

from collections.abc import Sequence

from bench.reporting.tables.table import ARROWS, Cell, Column, Row, Table, View

VIEW_TITLES: dict[View, str] = {
    "gap": "gap to real",
    "difference": "Δ",
    "iqm": "IQM",
    "improvement": "P(better)",
}
"""How a column is headed that repeats the cells of the one to its left."""


def title_text(table: Table) -> str:
    """Return the title, with the number of the table and the direction of its only metric.

    Args:
        table: The table.

    Returns:
        One line.
    """
    number = f"Table {table.name}. " if table.name.isdigit() else ""
    return number + caption_text(table)


def caption_text(table: Table) -> str:
    """Return the title for a paper that numbers its tables, with the direction of an only metric.

    Args:
        table: The table.

    Returns:
        One line.
    """
    arrow = f" ({ARROWS[table.columns[0].direction]})" if _is_single(table) else ""
    return table.title + arrow.replace(" ()", "")


def _is_single(table: Table) -> bool:
    """Return whether all columns show one metric, which then stands in the title alone."""
    return len({column.metric for column in table.columns}) == 1


def headings(table: Table) -> list[tuple[str, str, str]]:
    """Return the heading of each column: data set, metric with direction, protocol's mark.

    Args:
        table: The table.

    Returns:
        Three texts a column, each of them may be empty.
    """
    return [heading(table, column) for column in table.columns]


def heading(table: Table, column: Column, *, alone: bool = False) -> tuple[str, str, str]:
    """Return the heading of one column.

    Args:
        table: Its table.
        column: The column.
        alone: Whether it is a further view that does not stand beside the values of its metric.

    Returns:
        Data set, metric with direction, protocol's mark.
    """
    metric = "" if _is_single(table) else column.metric_title
    if column.view == "value":
        metric = f"{metric} {ARROWS[column.direction]}".strip() if metric else ""
    elif metric and alone:
        metric = f"{metric}, {VIEW_TITLES[column.view]}"
    else:
        metric = VIEW_TITLES[column.view]
    mark = "paper" if column.paper else column.mark and f"[{column.mark}]"
    return column.data_title, metric, mark


def texts(row: Row, columns: Sequence[Column]) -> list[tuple[str, str, bool]]:
    """Return the cells of a row as text.

    Args:
        row: The row.
        columns: Its columns.

    Returns:
        What `cell_text` returns of each.
    """
    return [cell_text(cell, column) for cell, column in zip(row.cells, columns, strict=True)]


def cell_text(cell: Cell, column: Column) -> tuple[str, str, bool]:
    """Return a cell's number, what follows it, and whether it is bold.

    Args:
        cell: The cell.
        column: Its column.

    Returns:
        Two texts, unescaped, and the emphasis.
    """
    is_bold = cell.bold and column.view == "value"
    return (*cell.parts(column.decimals, column.scale, column.view), is_bold)
