"""Notes on empty cells: what does not apply, was not measured, or has not been run."""

from collections.abc import Iterable, Sequence

from bench.record.quantities import QuantityKind, kind_of
from bench.record.sweep_folder import RETRY
from bench.reporting.grouping import grouped
from bench.reporting.notes.wording import listed, seeds_text
from bench.reporting.tables.contents import TableContents
from bench.reporting.tables.table import Note, Row
from bench.spec.reserved_names import EVALUATIONS

UNMEASURED: dict[QuantityKind, str] = {
    "measured": "Not measured (add it to the sweep's `metrics`, or use `bench evaluate --metric`):",
    "counted": "Trained by a version that did not count it (training again counts it):",
    "timed": "Not timed:",
}

Item = tuple[str, str, str, Sequence[str], str]
"""The beginning of a line, and the row, data set, titles and seeds that it is about."""


def empty_cell_notes(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Return notes on everything that a table lacks, with remedies."""
    return [
        *_inapplicable(contents, rows),
        *_never_measured(contents, rows),
        *_not_done(contents, rows),
        *_without_runs(contents),
    ]


def _inapplicable(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Say why numbers have no value: each reason once, with all rows that it is true of."""
    titles = {(column.data, column.metric): column.quantity.title for column in contents.columns}
    shown = [
        (row.label, titles[entry.run.data, entry.metric], entry)
        for row in rows
        for entry in contents.entries_of(row)
        if (entry.run.data, entry.metric) in titles
    ]
    seeds = grouped(((label, entry.run.data), entry.run.seed) for label, _, entry in shown)
    without = grouped(
        ((entry.reason or "no reason was recorded", label, entry.run.data, title), entry.run.seed)
        for label, title, entry in shown
        if entry.value is None
    )
    groups = grouped(
        ((reason, label, data, "" if {*of} == {*seeds[label, data]} else seeds_text(of)), title)
        for (reason, label, data, title), of in without.items()
    )
    items = [
        (f"{reason}: ", label, data, titles, some)
        for (reason, label, data, some), titles in groups.items()
    ]
    return [Note("n/a:", _lines(contents, items))] if items else []


def _never_measured(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Name measured runs of which the record lacks a quantity of the table."""
    spec, records = contents.spec, contents.records
    items: list[tuple[QuantityKind, Item]] = []
    for row in rows:
        is_trained = row.variant not in records.untrained and row.sweep != EVALUATIONS
        runs = [run for run in records.measured_runs if run.variant == row.variant]
        known = {(entry.run.data, entry.metric) for entry in contents.entries_of(row)}
        for data in dict.fromkeys(run.data for run in runs if row.sweep in ("", run.sweep)):
            shown = [column.metric for column in contents.columns if column.data == data]
            indices = {spec.rank(metric) for metric in shown}
            absent = [name for index, name in enumerate(spec.metrics) if index not in indices]
            lacking = grouped(
                (kind_of(metric), contents.quantities[metric].title)
                for metric in dict.fromkeys([*shown, *absent])
                if (data, metric) not in known and (kind_of(metric) == "measured" or is_trained)
            )
            for kind, titles in lacking.items():
                # what was not counted is a whole file, whose columns need no names
                named = [] if kind == "counted" else titles
                items.append((kind, ("", row.label, data, named, "")))
    return [Note(UNMEASURED[kind], _lines(contents, of)) for kind, of in grouped(items).items()]


def _not_done(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Name the runs that are not done, with the command that completes them."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    measured = set(contents.records.measured_runs)
    left = []
    for run in contents.records.runs:
        if run.state == "done" or (run.is_control and not contents.spec.is_measured):
            continue
        label = labels.get((run.sweep, run.variant), labels.get(("", run.variant), run.variant))
        state = run.state + (f" ({run.reason})" if run.reason else "")
        if run in measured:
            state += ", shown as it was measured before other metrics were asked for"
        left.append((run.command, ((label, contents.data_title(run.data), state), run.seed)))
    notes = []
    for command, runs in grouped(left).items():
        items = (
            f"{label} on {data}{f', {text}' if (text := seeds_text(seeds)) else ''}: {state}"
            for (label, data, state), seeds in grouped(runs).items()
        )
        notes.append(Note("Failed:" if RETRY in command else "Not done:", tuple(items), command))
    return notes


def _without_runs(contents: TableContents) -> list[Note]:
    """Name the paper's data sets of which there is no run at all, where they were asked for."""
    if contents.records.runs and not contents.paper:
        return []
    present = {run.data for run in contents.records.runs}
    groups = grouped(
        (command, contents.data_title(data))
        for data, command in contents.spec.data.items()
        if data not in present
    )
    source = contents.spec.source or "this table"
    return [
        Note(f"No runs yet on {listed(names)}, the data of {source}:", (), command)
        for command, names in groups.items()
    ]


def _lines(contents: TableContents, items: Iterable[Item]) -> tuple[str, ...]:
    """Return lines, each for all rows that share its text."""
    groups = grouped(
        ((before, data, tuple(titles), seeds), label)
        for before, label, data, titles, seeds in items
    )
    return tuple(
        before
        + "; ".join(labels)
        + (f" ({listed(titles)})" if titles else "")
        + f" on {contents.data_title(data)}"
        + (f", {seeds}" if seeds else "")
        for (before, data, titles, seeds), labels in groups.items()
    )
