"""Tables as plain data: what is printed, what is sorted by, and the files that `report` writes."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.reporting.page.variants import PageVariants
from bench.reporting.render import RENDERERS
from bench.reporting.render.headings import (
    VIEW_TITLES,
    cell_text,
    title_text,
)
from bench.reporting.render.repeats import repeats
from bench.reporting.tables.table import ARROWS, Cell, Column, Note, Row, Table

COPIES = ("csv", "markdown", "latex")


def describe_tables(tables: Sequence[Table], variants: PageVariants) -> list[dict[str, Any]]:
    """Return tables with their forms as `copies` and the notes that `describe_notes` lacks."""
    shared = _shared(tables)
    return [
        {
            "name": table.name,
            "title": title_text(table),
            "columns": [_column(column) for column in table.columns],
            "rows": [
                _row(row, variants)
                | {"cells": [_cell(*pair) for pair in zip(row.cells, table.columns, strict=True)]}
                for row in table.rows
            ],
            "notes": _notes(note for note in table.notes if note not in shared),
            "copies": {form: RENDERERS[form](table) for form in COPIES},
        }
        for table in tables
    ]


def without_repeats(tables: Sequence[Table]) -> tuple[list[Table], list[dict[str, Any]]]:
    """Return the tables of which no other one has all numbers, and the topics of the rest.

    A topic is the title, the metrics and the own notes of a table that is left out, so that its
    part of the other table can be shown alone.
    """
    is_repeat = repeats(tables)
    topics = [
        {
            "title": title_text(table),
            "metrics": list(dict.fromkeys(column.metric for column in table.columns)),
            "notes": _notes(note for note in table.notes if note.role == "table"),
        }
        for table, is_left_out in zip(tables, is_repeat, strict=True)
        if is_left_out
    ]
    kept = [table for table, is_left_out in zip(tables, is_repeat, strict=True) if not is_left_out]
    return kept, topics


def describe_notes(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return the notes that several tables have in common, to be shown once."""
    return _notes(_shared(tables))


def describe_seeds(tables: Iterable[Table], variants: PageVariants) -> list[dict[str, Any]]:
    """Return each measured column once, with all values that go into its cells, for dot plots."""
    columns: dict[tuple[str, ...], dict[str, Any]] = {}
    for table in tables:
        for index, column in enumerate(table.columns):
            cells = [(row, row.cells[index]) for row in table.rows]
            is_measured = column.kind == "measured" and column.view == "value"
            if not is_measured or not any(cell.kind == "mean" for _, cell in cells):
                continue
            change = replace(column, view="difference")
            rows = [
                _row(row, variants)
                | {
                    "text": "".join(cell_text(cell, column)[:2]),
                    "mean": _scaled(cell.mean, column),
                    "half": _scaled(cell.half_width, column),
                    "values": [
                        [seed, _scaled(value, column)]
                        for seed, value in cell.values or ((None, cell.mean),)
                    ],
                    "difference": "".join(cell_text(cell, change)[:2]),
                    "to": cell.difference.to if cell.difference else "",
                }
                for row, cell in cells
                if cell.kind in ("mean", "single") and cell.mean is not None
            ]
            reals = {cell.mean for _, cell in cells if cell.kind == "real"}
            real = reals.pop() if len(reals) == 1 else None  # sweeps may have measured others
            described = _column(column) | {"real": _scaled(real, column), "rows": rows}
            columns.setdefault(column.key, described)
    return list(columns.values())


def _shared(tables: Sequence[Table]) -> list[Note]:
    first = tables[0].notes if len(tables) > 1 else ()
    return [note for note in first if all(note in table.notes for table in tables)]


def _notes(notes: Iterable[Note]) -> list[dict[str, Any]]:
    return [asdict(note) | {"items": list(note.items)} for note in notes]


def _row(row: Row, variants: PageVariants) -> dict[str, Any]:
    return {"label": row.label, "variant": variants.index(row.sweep, row.variant)}


def _column(column: Column) -> dict[str, Any]:
    is_value = column.view == "value"
    return {
        "data": column.data,
        "dataTitle": column.data_title,
        "metric": column.metric,
        "view": column.view,
        "title": column.quantity.title if is_value else VIEW_TITLES[column.view],
        "arrow": ARROWS[column.quantity.direction] if is_value else "",
        "direction": column.quantity.direction,
        "protocol": column.protocol,
        "decimals": column.quantity.decimals,
        "mark": "paper" if column.paper else column.mark,
    }


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    """Return the printed number, what follows it, and the number to sort by."""
    number, rest, is_bold = cell_text(cell, column)
    sort = _scaled(cell.number(column.view), column)
    return {"number": number, "rest": rest, "bold": is_bold, "sort": sort, "kind": cell.kind}


def _scaled(value: float | None, column: Column) -> float | None:
    return None if value is None else value * column.quantity.scale
