"""Why places of a table are empty: what does not apply, was not measured, or has not been run."""

from collections.abc import Iterable, Sequence

from bench.record.quantities import QuantityKind, kind_of
from bench.record.sweep_folder import RETRY
from bench.reporting.notes.wording import listed, rows_listed, seeds_text
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
    """Return a note for everything that a table lacks, with a remedy."""
    return [
        *_inapplicable(contents, rows),
        *_unmeasured(contents, rows),
        *_not_done(contents, rows),
        *_without_runs(contents),
    ]


def _inapplicable(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Say why numbers have no value: each reason once, with all rows that it is true of."""
    titles = {(column.data, column.metric): column.quantity.title for column in contents.columns}
    seeds: dict[tuple[str, str], set[int | None]] = {}
    without: dict[tuple[str, str, str, str], set[int | None]] = {}
    for row in rows:
        for entry in contents.entries_of(row):
            data = entry.run.data
            if (title := titles.get((data, entry.metric))) is None:
                continue
            seeds.setdefault((row.label, data), set()).add(entry.run.seed)
            if entry.value is None:
                key = entry.reason or "no reason was recorded", row.label, data, title
                without.setdefault(key, set()).add(entry.run.seed)
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for (reason, label, data, title), of in without.items():
        some = "" if of == seeds[label, data] else seeds_text(s for s in of if s is not None)
        groups.setdefault((f"{reason}: ", label, data, some), []).append(title)
    items = [
        (reason, label, data, titles, some)
        for (reason, label, data, some), titles in groups.items()
    ]
    return [Note("n/a:", _lines(contents, items))] if items else []


def _unmeasured(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Name measured runs of which the record lacks a quantity of the table."""
    spec, records = contents.spec, contents.records
    notes: dict[str, list[Item]] = {}
    for row in rows:
        is_trained = row.variant not in records.untrained and row.sweep != EVALUATIONS
        runs = [run for run in records.measured_runs if run.variant == row.variant]
        known = {(entry.run.data, entry.metric) for entry in contents.entries_of(row)}
        for data in dict.fromkeys(run.data for run in runs if row.sweep in ("", run.sweep)):
            shown = [column.metric for column in contents.columns if column.data == data]
            indices = {spec.rank(metric) for metric in shown}
            absent = [name for index, name in enumerate(spec.metrics) if index not in indices]
            lacking: dict[QuantityKind, list[str]] = {}
            for metric in dict.fromkeys([*shown, *absent]):
                kind = kind_of(metric)
                if (data, metric) not in known and (kind == "measured" or is_trained):
                    # what was not counted is a whole file, whose columns need no names
                    titles = [] if kind == "counted" else [contents.quantities[metric].title]
                    lacking.setdefault(kind, []).extend(titles)
            for kind, titles in lacking.items():
                notes.setdefault(UNMEASURED[kind], []).append(("", row.label, data, titles, ""))
    return [Note(text, _lines(contents, items)) for text, items in notes.items()]


def _not_done(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Name the runs that are not done, with the command that completes them."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    measured = set(contents.records.measured_runs)
    groups: dict[str, dict[tuple[str, str, str], list[int]]] = {}
    for run in contents.records.runs:
        if run.state == "done" or (run.is_control and not contents.spec.is_measured):
            continue
        label = labels.get((run.sweep, run.variant), labels.get(("", run.variant), run.variant))
        state = run.state + (f" ({run.reason})" if run.reason else "")
        if run in measured:
            state += ", shown as it was measured before other metrics were asked for"
        key = label, contents.data_title(run.data), state
        groups.setdefault(run.command, {}).setdefault(key, [])
        groups[run.command][key] += [] if run.seed is None else [run.seed]
    return [
        Note(
            "Failed:" if RETRY in command else "Not done:",
            tuple(
                f"{label} on {data}{f', {seeds_text(seeds)}' if seeds else ''}: {state}"
                for (label, data, state), seeds in group.items()
            ),
            command,
        )
        for command, group in groups.items()
    ]


def _without_runs(contents: TableContents) -> list[Note]:
    """Name the paper's data sets of which there is no run at all."""
    groups: dict[str, list[str]] = {}
    for data, command in contents.spec.data.items():
        if all(run.data != data for run in contents.records.runs):
            groups.setdefault(command, []).append(contents.data_title(data))
    source = contents.spec.source or "this table"
    return [
        Note(f"No runs yet on {listed(names)}, the data of {source}:", (), command)
        for command, names in groups.items()
    ]


def _lines(contents: TableContents, items: Iterable[Item]) -> tuple[str, ...]:
    """Return one line for the rows of which the same is true."""
    groups: dict[tuple[str, str, tuple[str, ...], str], list[str]] = {}
    for before, label, data, titles, seeds in items:
        groups.setdefault((before, data, tuple(titles), seeds), []).append(label)
    return tuple(
        before
        + rows_listed(labels)
        + (f" ({listed(titles)})" if titles else "")
        + f" on {contents.data_title(data)}"
        + (f", {seeds}" if seeds else "")
        for (before, data, titles, seeds), labels in groups.items()
    )
