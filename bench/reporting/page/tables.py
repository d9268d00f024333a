"""Tables as plain data: what is printed, what is sorted by, and the files that `report` writes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from bench.reporting.headings import VIEW_TITLES, cell_text, title_text
from bench.reporting.layout import ARROWS, Cell, Column, Note, Table, View
from bench.reporting.page.variants import Variants
from bench.reporting.records import Records
from bench.reporting.render import RENDERERS
from bench.reporting.specs import TableSpec
from bench.reporting.tables import build_table

COPIES = ("csv", "markdown", "latex")


def filled_tables(
    specs: Mapping[str, TableSpec],
    records: Records,
    *,
    reference: str | None = None,
    show: Collection[View] = (),
) -> list[Table]:
    """Build the tables that the record fills.

    A table is filled by the first metric that it names. Of tables that would show the same columns
    one is kept: the paper's where its data are there, else that of all metrics, else the first.

    Args:
        specs: What `load_tables` returned.
        records: The sweeps to show.
        reference: As for `build_table`.
        show: As for `build_table`.

    Returns:
        The tables, in the order of their file.
    """
    present = set(records.runs["data"])
    kept: dict[frozenset[tuple[str, ...]], str] = {}
    built: dict[str, Table] = {}
    ranked = [(not present & set(spec.data), bool(spec.metrics), spec) for spec in specs.values()]
    for _, _, spec in sorted(ranked, key=lambda entry: entry[:2]):
        table = build_table(spec, records, reference=reference, show=show)
        places = [place for place in range(len(table.columns)) if _has_figures(table, place)]
        filled = [table.columns[place] for place in places]
        if filled and (not spec.metrics or _is_of(filled[0], spec.metrics[0])):
            built[spec.name] = table
            kept.setdefault(frozenset(map(_key, filled)), spec.name)
    return [built[name] for name in specs if name in kept.values()]


def _has_figures(table: Table, place: int) -> bool:
    """Return whether the record fills a column, with more than its references."""
    return any(row.cells[place].kind in ("mean", "counted", "single") for row in table.rows)


def _is_of(column: Column, metric: str) -> bool:
    """Return whether a column shows a metric, or a part of it."""
    return column.metric.partition("/")[0] == metric.partition("/")[0]


def describe_tables(tables: Sequence[Table], variants: Variants) -> list[dict[str, Any]]:
    """Return tables as plain data, with what `bench report` writes of them.

    Args:
        tables: The tables.
        variants: What rows are rows of.

    Returns:
        For each `name`, `title`, `columns`, `rows`, `copies`, and those of its `notes` that
        `describe_notes` does not tell.
    """
    shared = _shared(tables)
    return [
        {
            "name": table.name,
            "title": title_text(table),
            "columns": [_column(column) for column in table.columns],
            "rows": [
                {
                    "label": row.label,
                    "variant": variants.place(row.sweep, row.variant),
                    "cells": [
                        _cell(cell, column)
                        for cell, column in zip(row.cells, table.columns, strict=True)
                    ],
                }
                for row in table.rows
            ],
            "notes": _notes(note for note in table.notes if note not in shared),
            "copies": {form: RENDERERS[form](table) for form in COPIES},
        }
        for table in tables
    ]


def describe_notes(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return the notes that stand under every one of several tables, to be told once.

    Args:
        tables: The tables.

    Returns:
        For each `text`, `items` and `command`.
    """
    return _notes(_shared(tables))


def describe_seeds(tables: Iterable[Table], variants: Variants) -> list[dict[str, Any]]:
    """Return what dot plots need: for each measured column, every value that goes into its cells.

    Args:
        tables: The tables; a column that stands in several of them is described once.
        variants: What rows are rows of.

    Returns:
        For each column its heading, `real` (None where unknown) and `rows`, in printed units.
    """
    columns: dict[tuple[str, ...], dict[str, Any]] = {}
    for table in tables:
        for place, column in enumerate(table.columns):
            cells = [(row, row.cells[place]) for row in table.rows]
            is_measured = column.record == "figures" and column.view == "value"
            if not is_measured or not any(cell.kind == "mean" for _, cell in cells):
                continue
            rows = [
                {
                    "label": row.label,
                    "variant": variants.place(row.sweep, row.variant),
                    "text": "".join(cell.parts(column.decimals, column.scale)),
                    "mean": _scaled(cell.mean, column),
                    "half": _scaled(cell.half_width, column),
                    "values": [
                        [seed, _scaled(value, column)]
                        for seed, value in cell.values or ((None, cell.mean),)
                    ],
                    "difference": "".join(cell.parts(column.decimals, column.scale, "difference")),
                    "to": cell.difference.to if cell.difference else "",
                }
                for row, cell in cells
                if cell.kind in ("mean", "single") and cell.mean is not None
            ]
            real = next((cell.mean for _, cell in cells if cell.kind == "real"), None)
            described = _column(column) | {"real": _scaled(real, column), "rows": rows}
            columns.setdefault(_key(column), described)
    return list(columns.values())


def _shared(tables: Sequence[Table]) -> list[Note]:
    """Return the notes that stand under every one of several tables."""
    first = tables[0].notes if len(tables) > 1 else ()
    return [note for note in first if all(note in table.notes for table in tables)]


def _notes(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """Return notes as plain data."""
    return [
        {"text": note.text, "items": list(note.items), "command": note.command} for note in notes
    ]


def _key(column: Column) -> tuple[str, ...]:
    """Return what makes two columns the same."""
    return column.data, column.metric, column.protocol, column.view


def _column(column: Column) -> dict[str, Any]:
    """Return the heading of a column."""
    return {
        "data": column.data,
        "dataTitle": column.data_title,
        "metric": column.metric,
        "title": column.metric_title if column.view == "value" else VIEW_TITLES[column.view],
        "arrow": ARROWS[column.direction] if column.view == "value" else "",
        "direction": column.direction,
        "protocol": column.protocol,
        "decimals": column.decimals,
        "mark": "paper" if column.paper else column.mark,
    }


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    """Return a cell: the printed number, what follows it, and the number to sort by."""
    number, rest, is_bold = cell_text(cell, column)
    return {
        "number": number,
        "rest": rest,
        "bold": is_bold,
        "sort": _scaled(cell.number(column.view), column),
        "kind": cell.kind,
    }


def _scaled(value: float | None, column: Column) -> float | None:
    """Return a value in the unit of its column."""
    return None if value is None else value * column.scale
