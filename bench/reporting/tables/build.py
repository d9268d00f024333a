"""From the record to a table.

Two figures share a column only if data set, metric and protocol are the same; so a table cannot
compare what was measured differently. Rows are the real test images, any other controls, and
then the variants in the order of their sweep; what is missing is a dash, and a note says what fills
it.
"""

import itertools
import math
import string
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.record.records import Records, plain, seeds
from bench.record.sweep_folder import control_title
from bench.reporting.notes.draft import Draft
from bench.reporting.notes.table_notes import write_notes
from bench.reporting.statistics import t_interval
from bench.reporting.tables.significance import TARGETED, add_robust, compare_rows, find_references
from bench.reporting.tables.table import VIEWS, Cell, Column, Note, Row, Table, View
from bench.reporting.tables.table_spec import (
    Record,
    TableSpec,
    find_tables,
    load_tables,
    pick_table,
)
from bench.spec.reserved_names import EVALUATIONS, REAL, VALIDATION

__all__ = [
    "Cell",
    "Column",
    "Note",
    "Row",
    "Table",
    "TableSpec",
    "build_table",
    "find_tables",
    "load_tables",
    "pick_table",
]

Figures = list[dict[str, Any]]


def build_table(
    spec: TableSpec,
    records: Records,
    *,
    reference: str | None = None,
    show: Collection[View] = (),
) -> Table:
    """Build a table from the last evaluation of every finished run.

    Args:
        spec: What it shows.
        records: The sweeps it shows it of.
        reference: What rows are compared with: label, variant or model of a row, or `none`; None
            for the table's own choice.
        show: Views beside the values; the gap to the real images is always there.

    Returns:
        The table, with a note for everything that a reader could take wrongly.

    Raises:
        UnknownName: If no row is called like the reference.
    """
    figures = _figures(spec, records)
    columns = _columns(spec, records, figures)
    draft = Draft(spec, records, figures, columns, _rows(spec, records, figures))
    rows = [
        replace(row, cells=tuple(_cell(draft, row, column) for column in columns))
        for row in draft.rows
    ]
    rows = [
        replace(
            row, cells=tuple(_aimed(row, place, columns, rows) for place in range(len(columns)))
        )
        for row in rows
    ]
    name = spec.reference if reference is None else reference
    is_asked = reference is not None and spec.has_figures
    rows = compare_rows(rows, columns, find_references(rows, name, must_exist=is_asked))
    if not {"iqm", "improvement"}.isdisjoint(show):
        rows = add_robust(rows, columns)
    shown, shown_rows = _with_views(columns, rows, {"gap", *show})
    views = {column.view for column in shown}
    notes = write_notes(replace(draft, rows=rows), views)
    return Table(spec.name, spec.title, tuple(shown), tuple(shown_rows), tuple(notes))


def _aimed(row: Row, place: int, columns: Sequence[Column], rows: Sequence[Row]) -> Cell:
    """Return a cell with the value that it should be near to, if that is known."""
    cell, direction = row.cells[place], columns[place].direction
    if direction not in TARGETED or cell.mean is None or columns[place].paper:
        return cell
    if direction == "one":
        return replace(cell, target=1.0)
    real = [
        other.cells[place].mean
        for other in rows
        if other.variant == REAL and other.sweep in ("", row.sweep)
    ]
    return replace(cell, target=next((value for value in real if value is not None), None))


def _with_views(
    columns: Sequence[Column], rows: Sequence[Row], show: Collection[View]
) -> tuple[list[Column], list[Row]]:
    """Return columns and rows with a further column for each view that says something."""
    places = [
        (place, view)
        for place, column in enumerate(columns)
        for view in VIEWS
        if view == "value" or view in show
        if view != "gap" or column.direction == "real"
        if view == "value" or any(_says(row.cells[place], view) for row in rows)
    ]
    return (
        [replace(columns[place], view=view) for place, view in places],
        [replace(row, cells=tuple(row.cells[place] for place, _ in places)) for row in rows],
    )


def _says(cell: Cell, view: View) -> bool:
    """Return whether a view of a cell holds anything; that it is the reference is not enough."""
    return any(replace(cell, is_reference=False).parts(3, view=view))


def _figures(spec: TableSpec, records: Records) -> Figures:
    """Return the figures of the table's metrics."""
    figures = [*_counted(spec, records, "cost"), *_counted(spec, records, "timings")]
    for figure in plain(records.final):
        if figure["split"] == VALIDATION:
            continue  # those are for choosing, not for showing
        value = None if math.isnan(figure["value"]) else figure["value"]
        names = spec.names.metric(figure["metric"])
        shown = names.parts if names and value is None else ()
        figures += [
            figure | {"metric": metric, "value": value}
            for metric in shown or (figure["metric"],)
            if not spec.metrics or _rank(spec, metric) < len(spec.metrics)
        ]
    return figures


def _counted(spec: TableSpec, records: Records, record: Record) -> Figures:
    """Return the rows of `cost` or `timings` that the table shows, in the form of figures."""
    frame = records.finished(records.cost if record == "cost" else records.timings)
    wanted = [name for name in spec.metrics if spec.names.record(name) == record]
    rows = plain(frame[frame["metric"].isin(wanted)])
    blank = {"split": "", "protocol": "", "reason": ""}
    return [
        blank | row | {"value": None if math.isnan(row["value"]) else row["value"]} for row in rows
    ]


def _rank(spec: TableSpec, metric: str) -> int:
    """Return the place of a metric, or of the metric that it is a part of, in the table."""
    for rank, name in enumerate(spec.metrics):
        if metric == name or metric.startswith(f"{name}/"):
            return rank
    return len(spec.metrics)


def _columns(spec: TableSpec, records: Records, figures: Figures) -> list[Column]:
    """Return the columns: by data set, metric and protocol, the paper's own beside them."""
    runs = records.runs
    present = list(dict.fromkeys(runs["data"])) if len(runs) else list(spec.data)
    published = {data for values in spec.published.values() for data in values}
    ours = [data for data in spec.data if data in present]
    theirs = [data for data in spec.data if data in published]
    columns: list[Column] = []
    for data in dict.fromkeys([*ours, *present, *theirs]):
        here = [figure for figure in figures if figure["data"] == data]
        metrics = sorted(
            dict.fromkeys(figure["metric"] for figure in here), key=lambda name: _rank(spec, name)
        )
        finished = ((runs["data"] == data) & (runs["state"] == "done")).any()
        if data in present and not finished:
            metrics = list(spec.metrics)
        for metric in metrics:
            columns.extend(
                _column(spec, data, metric, protocol) for protocol in _protocols(here, metric)
            )
        if data in published:
            columns.append(replace(_column(spec, data, spec.metrics[0], ""), paper=True))
    protocols = list(dict.fromkeys(column.protocol for column in columns if column.protocol))
    if len(protocols) < 2:
        return columns
    marks = dict(zip(protocols, _letters(), strict=False))
    return [replace(column, mark=marks.get(column.protocol, "")) for column in columns]


def _letters() -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


def _protocols(figures: Figures, metric: str) -> list[str]:
    """Return the protocols of a metric on one data set, those of the models first."""
    ours = [figure for figure in figures if figure["metric"] == metric]
    ours.sort(key=lambda f: (f["value"] is None, f["variant"] == f["model"] and not seeds(f)))
    known = dict.fromkeys(figure["protocol"] for figure in ours if figure["protocol"])
    return list(known) or [""]


def _column(spec: TableSpec, data: str, metric: str, protocol: str) -> Column:
    """Return a column with its names for people."""
    names = spec.names.metric(metric)
    return Column(
        data=data,
        metric=metric,
        protocol=protocol,
        data_title=spec.names.data.get(data, data),
        metric_title=names.title if names else metric,
        direction=names.direction if names else None,
        decimals=names.decimals if names else None,
        scale=names.scale if names else 1.0,
        record=names.record if names else "figures",
    )


def _rows(spec: TableSpec, records: Records, figures: Figures) -> list[Row]:
    """Return the rows, still without cells."""
    runs = records.runs[~records.runs["variant"].isin(records.controls)]
    keys = list(dict.fromkeys(zip(runs["sweep"], runs["variant"], runs["model"], strict=True)))
    several = len({sweep for sweep, _, _ in keys} - {EVALUATIONS}) > 1
    rows = _control_rows(records, figures) if spec.has_figures else []
    others = {variant for _, variant, _ in keys}
    for sweep, variant, model in keys:
        label = spec.names.variant(variant, model, others)
        is_free = label not in [row.label for row in rows]
        own = is_free and (sweep == EVALUATIONS or not several)
        rows.append(Row(label if own else f"{label} ({sweep})", sweep, variant, model=model))
    ours = {variant for _, variant, model in keys if variant == model}
    absent = [name for name in spec.models if name in spec.published or not keys]
    rows.extend(
        Row(spec.names.models.get(name, name), "", name) for name in absent if name not in ours
    )
    return rows


def _control_rows(records: Records, figures: Figures) -> list[Row]:
    """Return the row of the real images, and those of further controls."""
    return [row for name in records.untrained for row in _rows_of_control(name, figures)]


def _rows_of_control(name: str, figures: Figures) -> list[Row]:
    """Return one row for a control, or one a sweep where its values differ."""
    values: dict[tuple[str, str, str], set[float | None]] = {}
    sweeps: dict[str, None] = {}
    for figure in figures:
        if figure["variant"] == name == figure["model"]:
            key = figure["data"], figure["metric"], figure["protocol"]
            values.setdefault(key, set()).add(figure["value"])
            sweeps[figure["sweep"]] = None
    if any(len(held) > 1 for held in values.values()):
        return [Row(f"{control_title(name)} ({sweep})", sweep, name) for sweep in sweeps]
    return [Row(control_title(name), "", name)]


def _cell(draft: Draft, row: Row, column: Column) -> Cell:
    """Return one cell."""
    if column.paper:
        value = draft.spec.published.get(row.variant, {}).get(column.data)
        return Cell("missing") if value is None else Cell("paper", value)
    same = [
        figure
        for figure in draft.figures_of(row)
        if (figure["data"], figure["metric"]) == (column.data, column.metric)
        and figure["protocol"] in (column.protocol, "")
    ]
    values = [figure["value"] for figure in same if figure["value"] is not None]
    if not values:
        return Cell("inapplicable" if same else "missing")
    if row.variant == REAL:
        return Cell("real", values[0])
    if not any(seeds(figure) for figure in same):
        return Cell("single", values[0])
    if column.record == "cost" and len(set(values)) == 1:
        return Cell("counted", values[0])
    interval = t_interval(values)
    by_seed = [(seed, f["value"]) for f in same if f["value"] is not None for seed in seeds(f)]
    return Cell("mean", interval.mean, interval.half_width, interval.n, tuple(sorted(by_seed)))
