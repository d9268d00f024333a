"""Parts that all forms of a table share: title, headings, and cells as text."""

from typing import NamedTuple, assert_never

from bench.reporting.tables.table import ARROWS, Cell, Column, ColumnView, Row, Table

VIEW_TITLES: dict[ColumnView, str] = {
    "gap": "gap to real",
    "difference": "Δ",
    "iqm": "IQM",
    "improvement": "P(better)",
}


class CellText(NamedTuple):
    """A cell as text, unescaped: the number, what follows it, and whether the number is bold."""

    number: str
    rest: str = ""
    is_bold: bool = False


def title_text(table: Table) -> str:
    """Return the title, with the number of the table; papers number their tables themselves."""
    number = f"Table {table.name}. " if table.name.isdigit() else ""
    return number + table.title


def headings(table: Table) -> list[tuple[str, str, str]]:
    """Return the heading of each column: data set, quantity, mark; each may be empty."""
    return [heading(column) for column in table.columns]


def heading(column: Column, *, alone: bool = False) -> tuple[str, str, str]:
    """Return the heading of a column, `alone` where a view is not beside its quantity's values."""
    title = column.quantity.title
    if column.view != "value":
        view = VIEW_TITLES[column.view]
        title = f"{title}, {view}" if alone else view
    else:
        title = f"{title} {ARROWS[column.quantity.direction]}".strip()
    mark = "paper" if column.paper else column.mark and f"[{column.mark}]"
    return column.data_title, title, mark


def row_texts(row: Row, table: Table, *, with_seeds: bool = True) -> list[CellText]:
    """Return the cells of a row as text, means with their number of seeds."""
    return [
        cell_text(cell, column, with_seeds=with_seeds)
        for cell, column in zip(row.cells, table.columns, strict=True)
    ]


def cell_text(cell: Cell, column: Column, *, with_seeds: bool = True) -> CellText:
    """Return what a column prints of a cell, of a mean also the number of its seeds.

    >>> from bench.record.quantities import Quantity
    >>> score = Column("digits", "Digits", "is", Quantity("Inception Score", decimals=2))
    >>> cell_text(Cell("mean", 8.81, 0.124, 3), score)
    CellText(number='8.81', rest=' ± 0.12 (3)', is_bold=False)
    """
    view, number, quantity = column.view, cell.number(column.view), column.quantity
    if view == "value":
        if number is None:
            return CellText("n/a" if cell.kind == "inapplicable" else "—")
        spread = _spread(cell.half_width, column)
        if cell.kind == "real" and cell.error is not None:
            spread = f" (SE {quantity.text(cell.error)})"
        seeds = f" ({cell.n})" if cell.kind == "mean" and with_seeds else ""
        return CellText(quantity.text(number), spread + seeds, cell.bold)
    if number is None:
        is_reference = view == "difference" and cell.is_reference and cell.mean is not None
        return CellText("", "reference" if is_reference else "")
    match view:
        case "improvement":
            return CellText(f"{number:.2f}")
        case "iqm":
            ends = (cell.robust.low, cell.robust.high) if cell.robust else ()
            shown = [quantity.text(end) for end in ends if end is not None]
            return CellText(quantity.text(number), f" [{', '.join(shown)}]" if shown else "")
        case "gap":
            return CellText(quantity.text(number, sign="+"), _spread(cell.gap_half_width, column))
        case "difference":
            return CellText(quantity.text(number, sign="+"), _test_text(cell, column))
        case _:
            assert_never(view)


def _test_text(cell: Cell, column: Column) -> str:
    """Return what follows a difference: half the width of its interval, and the p value."""
    if cell.difference is None:
        return ""
    spread, p = _spread(cell.difference.half_width, column), cell.difference.adjusted
    if p is None:
        return spread
    return spread + (", p < 0.001" if p < 0.001 else f", p = {p:.3f}")


def _spread(half_width: float | None, column: Column) -> str:
    return "" if half_width is None else f" ± {column.quantity.text(half_width)}"
