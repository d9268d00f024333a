"""Building a table from the record: cells, comparisons, notes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.record.records import RecordEntry, Records
from bench.reporting.notes.table_notes import write_notes
from bench.reporting.statistics import t_interval
from bench.reporting.tables.contents import TableContents
from bench.reporting.tables.differences import (
    NO_REFERENCE,
    add_differences,
    add_robust,
    find_references,
)
from bench.reporting.tables.table import (
    TARGETED,
    VIEWS,
    Cell,
    Column,
    ColumnView,
    Note,
    Row,
    Table,
)
from bench.reporting.tables.table_spec import TableSpec
from bench.spec.reserved_names import REAL

NO_ROW = "Nothing is compared, since no row is {!r}; `--reference` names another one."


def build_table(
    spec: TableSpec,
    records: Records,
    *,
    reference: str | None = None,
    show: Collection[ColumnView] = (),
) -> Table:
    """Build a table from the final measurements of a record.

    `reference` is the label, variant or model of a row, or `none`; None is the table's own choice.
    `show` are views beside the values; the gap to the real images is always there.
    """
    contents = TableContents(spec, records)
    columns = contents.columns
    rows = [replace(row, cells=_cells(contents, row)) for row in contents.rows]
    rows = [
        replace(row, cells=tuple(_with_target(row, n, c, rows) for n, c in enumerate(columns)))
        for row in rows
    ]
    name = spec.reference if reference is None else reference
    must_exist = reference is not None and spec.is_measured
    references = find_references(rows, name, must_exist=must_exist)
    rows = add_differences(rows, columns, references)
    is_uncompared = not references and spec.is_measured and name not in NO_REFERENCE
    no_reference = [Note(NO_ROW.format(name))] if "difference" in show and is_uncompared else []
    if not {"iqm", "improvement"}.isdisjoint(show):
        rows = add_robust(rows, columns)
    shown = [
        (index, view)
        for index, column in enumerate(columns)
        for view in VIEWS
        if view in ("value", "gap", *show)
        if view != "gap" or column.quantity.direction == "real"
        if view == "value" or any(row.cells[index].number(view) is not None for row in rows)
    ]
    return Table(
        name=spec.name,
        title=spec.title,
        columns=tuple(replace(columns[index], view=view) for index, view in shown),
        rows=tuple(
            replace(row, cells=tuple(row.cells[index] for index, _ in shown)) for row in rows
        ),
        notes=(*no_reference, *write_notes(contents, rows, {view for _, view in shown})),
    )


def filled_tables(
    specs: Mapping[str, TableSpec],
    records: Records,
    *,
    reference: str | None = None,
    show: Collection[ColumnView] = (),
) -> list[Table]:
    """Build the tables whose trained rows fill half of the metrics, in the order of their file.

    Of tables that would show the same columns one is kept: the paper's where its data are there,
    else that of all metrics, else the first. `reference` and `show` are as for `build_table`.
    """
    present = {run.data for run in records.runs}
    kept: dict[frozenset[tuple[str, str, str]], str] = {}
    ranked = [(not present & set(spec.data), bool(spec.metrics), spec) for spec in specs.values()]
    for _, _, spec in sorted(ranked, key=lambda item: item[:2]):
        numbers = frozenset(
            (entry.run.data, entry.metric, entry.protocol)
            for entry in TableContents(spec, records).entries
            if entry.value is not None and not entry.run.is_control
        )
        metrics = {metric for _, metric, _ in numbers}
        if metrics and 2 * len(metrics) >= len(spec.metrics):
            kept.setdefault(numbers, spec.name)
    return [
        build_table(spec, records, reference=reference, show=show)
        for name, spec in specs.items()
        if name in kept.values()
    ]


def _cells(contents: TableContents, row: Row) -> tuple[Cell, ...]:
    entries = contents.entries_of(row)
    return tuple(_cell(contents, row, column, entries) for column in contents.columns)


def _cell(
    contents: TableContents, row: Row, column: Column, entries: Sequence[RecordEntry]
) -> Cell:
    if column.paper:
        value = contents.spec.published.get(row.variant, {}).get(column.data)
        return Cell("missing") if value is None else Cell("paper", value)
    numbers = [
        (entry.run.seed, entry.value)
        for entry in entries
        if (entry.run.data, entry.metric) == (column.data, column.metric)
        and entry.protocol in (column.protocol, "")
    ]
    values = [value for _, value in numbers if value is not None]
    if not values:
        return Cell("inapplicable" if numbers else "missing")
    if row.variant == REAL:
        return Cell("real", values[0])
    if all(seed is None for seed, _ in numbers):
        return Cell("single", values[0])
    if column.kind == "counted" and len(set(values)) == 1:
        return Cell("counted", values[0])
    interval = t_interval(values)
    by_seed = [(seed, v) for seed, v in numbers if seed is not None and v is not None]
    return Cell("mean", interval.mean, interval.half_width, interval.n, tuple(sorted(by_seed)))


def _with_target(row: Row, index: int, column: Column, rows: Sequence[Row]) -> Cell:
    """Return a cell with the value that it should be near to, if that is known."""
    cell, direction = row.cells[index], column.quantity.direction
    if direction not in TARGETED or cell.mean is None or column.paper:
        return cell
    if direction == "one":
        return replace(cell, target=1.0)
    real = (r.cells[index].mean for r in rows if r.variant == REAL and r.sweep in ("", row.sweep))
    return replace(cell, target=next((value for value in real if value is not None), None))
