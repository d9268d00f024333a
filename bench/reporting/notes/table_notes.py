"""What stands under a table: everything that a reader could otherwise take wrongly."""

from collections.abc import Collection, Sequence

from bench.record.records import Records
from bench.reporting.notes.draft import Draft
from bench.reporting.notes.environments import environment_notes
from bench.reporting.notes.evaluated_images import origin_notes
from bench.reporting.notes.missing_values import absence_notes
from bench.reporting.notes.wording import listed, seeds_text
from bench.reporting.tables.significance import comparison_notes
from bench.reporting.tables.table import Column, Note, Row, View
from bench.spec.reserved_names import EVALUATIONS, REAL

BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to the row of the real images is better; larger is not better in itself",
    "one": "nearer to 1 is better",
    None: "no direction is declared for it",
}


def write_notes(draft: Draft, views: Collection[View]) -> list[Note]:
    """Return the notes of a table in the order in which they are printed.

    Args:
        draft: The table.
        views: What else is printed of its cells.

    Returns:
        The notes.
    """
    records, columns, rows = draft.records, draft.columns, draft.rows
    return [
        *_cells(rows),
        *view_notes(views),
        *comparison_notes(columns, rows),
        *_directions(columns),
        *_protocols(columns, rows, records.untrained),
        *_runs(records),
        *origin_notes(records, rows),
        *environment_notes(records, columns, rows),
        *_published(draft),
        *(Note(" ".join(note.split())) for note in draft.spec.notes),
        *absence_notes(draft),
        *_strangers(records, rows),
    ]


_VIEWS: dict[View, str] = {
    "gap": "Gap to real: the mean minus the value of the real images.",
    "difference": (
        "Δ: the row minus the reference row, seed by seed over common seeds, ± half the width of "
        "its 95 % t interval; p is corrected by Holm."
    ),
    "iqm": (
        "IQM: the mean without the lowest and the highest quarter of the seeds, with its BCa "
        "bootstrap interval; such intervals are too short for few seeds (of 3 seeds, 73 of 100 "
        "hold the truth)."
    ),
    "improvement": (
        "P(better): how often a run of the row is better than one of the reference row, of all "
        "pairs of runs."
    ),
}


def view_notes(views: Collection[View]) -> list[Note]:
    """Say what the columns beside the values show.

    Args:
        views: What they show.

    Returns:
        One note for each.
    """
    return [Note(text) for view, text in _VIEWS.items() if view in views]


def _cells(rows: Sequence[Row]) -> list[Note]:
    """Say what a cell is."""
    means = [cell for row in rows for cell in row.cells if cell.kind == "mean"]
    if not means:
        return []
    if all(cell.half_width is None for cell in means):
        return [Note("A cell is the value of one seed: (1), so there is no interval.")]
    text = "A cell is the mean ± half the width of the 95 % t interval over seeds (their number)"
    single = any(cell.half_width is None for cell in means)
    return [Note(f"{text}; one seed has no interval." if single else f"{text}.")]


def _directions(columns: Sequence[Column]) -> list[Note]:
    """Say which values are better; what a model costs is judged by nobody but the reader."""
    judged = [column for column in columns if column.record == "figures"]
    titles = dict.fromkeys((column.metric_title, column.direction) for column in judged)
    return [Note(f"{title}: {BETTER[direction]}.") for title, direction in titles]


def _protocols(
    columns: Sequence[Column], rows: Sequence[Row], compared_with: Collection[str]
) -> list[Note]:
    """Name the protocols, and warn where a metric has several."""
    measured = [column for column in columns if column.protocol]
    marks = dict.fromkeys((column.mark, column.protocol) for column in measured)
    notes = [Note(f"[{mark}] {text}" if mark else f"Protocol: {text}") for mark, text in marks]
    pairs = [(column.data, column.metric) for column in measured]
    split = [column for column in measured if pairs.count((column.data, column.metric)) > 1]
    if split:
        titles = listed(dict.fromkeys(f"{c.metric_title} on {c.data_title}" for c in split))
        notes.append(
            Note(
                f"{titles}: measured by more than one protocol, a column each; "
                "values of different columns must not be compared."
            )
        )
    for column in split:
        place = columns.index(column)
        filled = {row.variant for row in rows if row.cells[place].mean is not None}
        if filled and filled <= set(compared_with):
            whom = "the real images" if filled == {REAL} else "controls"
            notes.append(Note(f"[{column.mark}] was applied to {whom} alone."))
    return notes


def _runs(records: Records) -> list[Note]:
    """Say how many runs there are, of which seeds, and how they were trained and selected."""
    runs = records.runs[~records.runs["variant"].isin(records.untrained)]
    runs = runs[runs["sweep"] != EVALUATIONS]
    done = runs[runs["state"] == "done"]
    if done.empty:
        return []
    numbers = seeds_text(int(seed) for seed in done["seed"].dropna())
    lengths = sorted(set(zip(done["iterations"], done["batch_size"], strict=True)), key=str)
    training = listed(
        f"{iterations} iterations of {batch} examples" for iterations, batch in lengths
    )
    return [
        Note(f"Runs: {len(done)} of {len(runs)} finished, {numbers}."),
        Note(f"Training: {training}. {records.selection.note}"),
    ]


def _published(draft: Draft) -> list[Note]:
    """Say where the paper's numbers come from."""
    if not any(column.paper for column in draft.columns):
        return []
    return [Note(f"paper: as printed in {draft.spec.source}; single numbers without intervals.")]


def _strangers(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Name the rows that only the paper fills."""
    known = records.untrained
    names = [row.label for row in rows if not row.sweep and row.variant not in known]
    if not names or records.runs.empty:
        return []
    return [Note(f"No sweep shown here has {listed(names)}: such a row is the paper's alone.")]
