"""Which tables a record fills: what `bench report --all`, the page and MLflow show."""

from collections.abc import Collection, Mapping

from bench.record.records import Records
from bench.reporting.tables.build import build_table
from bench.reporting.tables.table import Column, Table, View
from bench.reporting.tables.table_spec import TableSpec


def filled_tables(
    specs: Mapping[str, TableSpec],
    records: Records,
    *,
    reference: str | None = None,
    show: Collection[View] = (),
) -> list[Table]:
    """Build the tables that a record fills.

    A table is filled by numbers of trained rows for half of its metrics at least. Of tables that
    would show the same columns one is kept: the paper's where its data are there, else that of all
    metrics, else the first.

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
        filled = [column for place, column in enumerate(table.columns) if _has_rows(table, place)]
        metrics = {column.metric for column in filled}
        if metrics and 2 * len(metrics) >= len(spec.metrics):
            built[spec.name] = table
            kept.setdefault(frozenset(map(column_key, filled)), spec.name)
    return [built[name] for name in specs if name in kept.values()]


def column_key(column: Column) -> tuple[str, ...]:
    """Return what makes two columns the same.

    Args:
        column: A column of any table.

    Returns:
        Data set, metric, protocol and view.
    """
    return column.data, column.metric, column.protocol, column.view


def _has_rows(table: Table, place: int) -> bool:
    """Return whether a column has numbers of a trained row."""
    return not table.columns[place].paper and any(
        row.model and row.cells[place].mean is not None for row in table.rows
    )
