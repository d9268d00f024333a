"""Building a table from the record: cells, comparisons, notes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.console import say_left_out
from bench.record.records import RecordEntry, Records
from bench.reporting.notes.table_notes import write_notes
from bench.reporting.statistics import estimate
from bench.reporting.tables.contents import TableContents
from bench.reporting.tables.differences import (
    NO_REFERENCE,
    add_differences,
    add_robust,
    corrected_tests,
    find_references,
    with_own_references,
)
from bench.reporting.tables.families import Family, families_by_sweep
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
from bench.reporting.tables.table_spec import TableSpec, unknown_metrics
from bench.spec.reserved_names import REAL

NO_ROW = (
    "Nothing is compared, since no row is {!r}; `--reference` names another one, and `compare:` in "
    "a sweep plans comparisons."
)


def build_table(
    spec: TableSpec,
    records: Records,
    *,
    reference: str | None = None,
    compare: Family | None = None,
    show: Collection[ColumnView] = (),
    paper: bool = False,
) -> Table:
    """Build a table from the final measurements of a record.

    `reference` is the label, variant or model of a row, or `none`; None is what the sweeps planned,
    else the table's own choice. `compare` is a user's choice of comparisons in the place of those
    that sweeps planned. `show` are views beside the values; the gap to the real images is always
    there. With `paper` there are rows and columns that only its paper has.
    """
    contents = TableContents(spec, records, paper)
    columns, rows = contents.columns, _filled_rows(contents)
    if reference is None and compare is not None:
        reference = compare.comparisons.reference or None
    families = families_by_sweep(records, rows, reference, compare)
    references = _references(rows, spec, reference, families)
    tested = rows, columns, references
    if families:  # which may be of more than this table shows
        whole = TableContents(spec.model_copy(update={"metrics": (), "models": ()}), records)
        every = _filled_rows(whole)
        if compare is not None:
            compare.check(every, whole.columns)
        tested = every, whole.columns, _references(every, spec, reference, families)
    corrected = corrected_tests(*tested, families)
    rows = add_differences(rows, columns, references, families, corrected)
    planned = (family.comparisons.reference for family in families.values())
    name = next(planned, spec.reference) if reference is None else reference
    can_compare = spec.is_measured and len([row for row in rows if row.model]) > 1
    is_uncompared = not references and can_compare and name not in NO_REFERENCE
    no_reference = [Note(NO_ROW.format(name))] if is_uncompared else []
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
        notes=(
            *no_reference,
            *write_notes(contents, rows, {view for _, view in shown}, families, references),
        ),
        selection=records.selection,
    )


def _filled_rows(contents: TableContents) -> list[Row]:
    """Return the rows with their cells, which know what they should be near to."""
    columns = contents.columns
    rows = [replace(row, cells=_cells(contents, row)) for row in contents.rows]
    return [
        replace(row, cells=tuple(_with_target(row, n, c, rows) for n, c in enumerate(columns)))
        for row in rows
    ]


def _references(
    rows: Sequence[Row], spec: TableSpec, reference: str | None, families: Mapping[str, Family]
) -> dict[str, Row]:
    """Return the reference row of each row: the one asked for, else planned, else the table's."""
    if reference is not None:
        found = find_references(rows, reference, must_exist=spec.is_measured)
    else:
        found = find_references(rows, spec.reference, must_exist=False)
        for sweep, family in families.items():
            if family.comparisons.reference:
                of_sweep = [row for row in rows if row.sweep == sweep]
                found = {label: to for label, to in found.items() if to.sweep != sweep}
                for row in of_sweep:
                    found.pop(row.label, None)
                found |= find_references(of_sweep, family.comparisons.reference, must_exist=False)
    return with_own_references(rows, found, families)


def filled_tables(
    specs: Mapping[str, TableSpec],
    records: Records,
    *,
    reference: str | None = None,
    compare: Family | None = None,
    show: Collection[ColumnView] = (),
    paper: bool = False,
) -> list[Table]:
    """Build the tables whose trained rows fill half of the metrics, in the order of their file.

    Of tables that would show the same columns one is kept: the paper's where its data are there,
    else that of all metrics, else the first. The options are those of `build_table`. A metric that
    nobody knows here may be one of a package that is not installed, so it is only said.
    """
    for problem in unknown_metrics(specs.values(), records):
        say_left_out(problem)
    present = {run.data for run in records.runs}
    kept: dict[frozenset[tuple[str, str, str]], str] = {}
    ranked = [(not present & set(spec.data), bool(spec.metrics), spec) for spec in specs.values()]
    for _, _, spec in sorted(ranked, key=lambda item: item[:2]):
        numbers = frozenset(
            (entry.run.data, entry.metric, entry.protocol)
            for entry in TableContents(spec, records, paper).entries
            if entry.value is not None and not entry.run.is_control
        )
        metrics = {metric for _, metric, _ in numbers}
        if metrics and 2 * len(metrics) >= len(spec.metrics):
            kept.setdefault(numbers, spec.name)
    return [
        build_table(spec, records, reference=reference, compare=compare, show=show, paper=paper)
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
    measured = [
        (entry.run.seed, entry.value, entry.error)
        for entry in entries
        if (entry.run.data, entry.metric) == (column.data, column.metric)
        and entry.protocol in (column.protocol, "")
    ]
    numbers = [(seed, value) for seed, value, _ in measured]
    values = [value for _, value in numbers if value is not None]
    if not values:
        return Cell("inapplicable" if numbers else "missing")
    if row.variant == REAL or all(seed is None for seed, _ in numbers):
        error = next((error for _, value, error in measured if value is not None), None)
        return Cell("real" if row.variant == REAL else "single", values[0], error=error)
    if column.kind == "counted" and len(set(values)) == 1:
        return Cell("counted", values[0])
    seeds = estimate(values)
    by_seed = [(seed, v) for seed, v in numbers if seed is not None and v is not None]
    return Cell("mean", seeds.mean, seeds.half_width(), seeds.n, tuple(sorted(by_seed)))


def _with_target(row: Row, index: int, column: Column, rows: Sequence[Row]) -> Cell:
    """Return a cell with the value that it should be near to, if that is known."""
    cell, direction = row.cells[index], column.quantity.direction
    if direction not in TARGETED or cell.mean is None or column.paper:
        return cell
    if direction == "one":
        return replace(cell, target=1.0, target_error=0.0)
    reals = (r.cells[index] for r in rows if r.variant == REAL and r.sweep in ("", row.sweep))
    real = next((cell for cell in reals if cell.mean is not None), None)
    if real is None or real.mean is None:
        return cell
    half_width = None
    if cell.values and real.error is not None:
        gaps = [value - real.mean for _, value in cell.values]
        half_width = estimate(gaps, real.error).half_width()
    return replace(cell, target=real.mean, target_error=real.error, gap_half_width=half_width)
