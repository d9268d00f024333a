"""The notes under a table: everything that a reader could otherwise misread."""

from collections.abc import Collection, Mapping, Sequence

from bench.record.records import Records
from bench.reporting.grouping import grouped
from bench.reporting.notes.data_sets import data_notes
from bench.reporting.notes.empty_cells import empty_cell_notes
from bench.reporting.notes.origins import (
    evaluation_notes,
    metric_code_notes,
    origin_notes,
    sampling_notes,
    start_notes,
)
from bench.reporting.notes.significance import significance_notes
from bench.reporting.notes.wording import listed, seeds_text
from bench.reporting.statistics import LEVEL
from bench.reporting.tables.contents import TableContents
from bench.reporting.tables.families import Family
from bench.reporting.tables.table import VIEWS, Column, ColumnView, Note, Row
from bench.spec.reserved_names import REAL

BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to the row of the real images is better; larger is not better in itself",
    "one": "nearer to 1 is better",
    None: "no direction is declared for it",
}
_VIEWS: dict[ColumnView, str] = {
    "gap": (
        "Gap to real: mean minus the value of the real images, ± half-width of its 95 % t "
        "interval. The interval counts the variance over seeds and the real value's standard "
        "error; it is omitted where that was not recorded."
    ),
    "difference": (
        "Δ: row minus reference row over common seeds, ± half-width of its t interval. The "
        f"interval matches the corrected test: it excludes 0 exactly where p < {LEVEL}. Without a "
        "p value it is the uncorrected 95 % interval."
    ),
    "iqm": (
        "IQM: the mean without the lowest and the highest quarter of the seeds, with its BCa "
        "bootstrap interval, which is too short for few seeds (for 3 seeds, 73 of 100 intervals "
        "contain the true value)."
    ),
    "improvement": (
        "P(better): how often a run of the row is better than one of its reference row, of all "
        "pairs of runs."
    ),
}


def write_notes(
    contents: TableContents,
    rows: Sequence[Row],
    views: Collection[ColumnView],
    families: Mapping[str, Family],
    references: Mapping[str, Row],
) -> list[Note]:
    """Return the notes of a table with these rows and views, in their order below it.

    `families` are by sweep, `references` the reference rows by label.
    """
    records, columns = contents.records, contents.columns
    return [
        *([Note(text, role="cell")] if (text := cell_meaning(rows)) else []),
        *([Note(records.selection_note, role="cell")] if records.selection_note else []),
        *_real(rows),
        *view_notes(views),
        *significance_notes(columns, rows, families, references),
        *_directions(columns),
        *_protocols(columns, rows, records.untrained),
        *_averages(columns),
        *_runs(records),
        *_images(records, rows),
        *sampling_notes(records, rows),
        *data_notes(records, {column.data for column in columns}),
        *evaluation_notes(records, rows),
        *start_notes(records, rows),
        *origin_notes(records, columns, rows),
        *metric_code_notes(contents, rows),
        *_paper_columns(contents),
        *(Note(" ".join(note.split()), role="table") for note in contents.spec.notes),
        *empty_cell_notes(contents, rows),
        *_paper_rows(records, rows),
    ]


def view_notes(views: Collection[ColumnView]) -> list[Note]:
    """Say what the columns beside the values show."""
    return [Note(_VIEWS[view], role="test") for view in VIEWS if view in views and view != "value"]


def cell_meaning(rows: Sequence[Row], seeds: int | None = None) -> str:
    """Say what a cell is, and the number of seeds where it is not in each cell; empty for none."""
    means = [cell for row in rows for cell in row.cells if cell.kind == "mean"]
    if not means:
        return ""
    if all(cell.half_width is None for cell in means):
        return f"Cells: the value of one seed{'' if seeds else ' (1)'}, without an interval."
    number = "seeds (number of seeds)" if seeds is None else f"{seeds} seeds"
    text = f"Cells: mean ± half-width of the 95 % t interval over {number}"
    single = any(cell.half_width is None for cell in means)
    return f"{text}; a single seed has no interval." if single else f"{text}."


def _real(rows: Sequence[Row]) -> list[Note]:
    if all(cell.error is None for row in rows for cell in row.cells if cell.kind == "real"):
        return []
    return [
        Note(
            "SE: standard error of the real images' value, from the finite test set.",
            role="cell",
        )
    ]


def _directions(columns: Sequence[Column]) -> list[Note]:
    """Say which measured values are better; costs are for the reader to judge."""
    quantities = [column.quantity for column in columns if column.kind == "measured"]
    directions = dict.fromkeys((quantity.title, quantity.direction) for quantity in quantities)
    return [Note(f"{title}: {BETTER[direction]}.") for title, direction in directions]


def _averages(columns: Sequence[Column]) -> list[Note]:
    """Say which means are meant where classes differ in size."""
    meant = {
        "average=micro": "over all images, so larger classes count more",
        "average=macro": "over classes, each with the same weight",
    }
    return [
        Note(f"Classes differ in size; {word} is a mean {text}.")
        for word, text in meant.items()
        if any(word in (column.protocol or "") for column in columns)
    ]


def _protocols(
    columns: Sequence[Column], rows: Sequence[Row], untrained: Collection[str]
) -> list[Note]:
    """Name the protocols, and warn where a quantity has several."""
    measured = [column for column in columns if column.protocol]
    marks = dict.fromkeys((column.mark, column.protocol) for column in measured)
    notes = [
        Note(f"[{mark}] {text}" if mark else f"Protocol: {text}", mark=mark) for mark, text in marks
    ]
    names = [(column.data, column.quantity.title) for column in measured]
    split = [c for c in measured if names.count((c.data, c.quantity.title)) > 1]
    if split:
        titles = dict.fromkeys(f"{c.quantity.title} on {c.data_title}" for c in split)
        notes.append(
            Note(
                f"{listed(titles)}: measured by more than one protocol, one column each; "
                "do not compare values of different columns."
            )
        )
    for column in split:
        index = columns.index(column)
        filled = {row.variant for row in rows if row.cells[index].mean is not None}
        if filled and filled <= set(untrained):
            whom = "the real images" if filled == {REAL} else "controls"
            notes.append(Note(f"[{column.mark}] was applied only to {whom}."))
    return notes


def _runs(records: Records) -> list[Note]:
    """Say how many runs are done, of which seeds, and how they were trained and selected."""
    expected, measured = (
        [run for run in runs if run.is_trained] for runs in (records.runs, records.measured_runs)
    )
    if not measured:
        return []
    done = sum(run.state == "done" for run in measured)
    seeds = seeds_text(run.seed for run in measured)
    lengths = sorted({(run.iterations, run.batch_size) for run in measured}, key=str)
    training = listed(f"{iterations} iterations of {size} examples" for iterations, size in lengths)
    last = "" if records.selection_note else " Weights: those of the last iteration (no selection)."
    return [
        Note(f"Runs: {done} of {len(expected)} done, {seeds}."),
        Note(f"Training: {training}.{last}"),
    ]


def _images(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say how many images an iteration shows the models, where that differs between rows."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    counted = grouped(
        (f"{entry.value:.0f}", labels[entry.run.sweep, entry.run.variant])
        for entry in records.cost
        if entry.metric == "images_per_iteration" and entry.value is not None
        if (entry.run.sweep, entry.run.variant) in labels
    )
    if len(counted) < 2:
        return []
    items = tuple(f"{count}: {'; '.join(dict.fromkeys(of))}" for count, of in counted.items())
    return [Note("Training images per iteration:", items)]


def _paper_columns(contents: TableContents) -> list[Note]:
    text = f"paper: as printed in {contents.spec.source}; single numbers without intervals."
    return [Note(text)] if any(column.paper for column in contents.columns) else []


def _paper_rows(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Name the rows that only the paper fills."""
    names = [row.label for row in rows if not row.sweep and row.variant not in records.untrained]
    if not names or not records.runs:
        return []
    return [Note(f"Rows of the paper that no sweep shown here has: {listed(names)}.")]
