"""Why places of a table are empty: what does not apply, was not measured, or has not been run."""

from collections.abc import Iterable, Sequence

from bench.record.quantities import kind_of
from bench.record.sweep_folder import RETRY
from bench.reporting.notes.wording import listed, rows_listed, seeds_text
from bench.reporting.tables.contents import TableContents
from bench.reporting.tables.table import Note, Row
from bench.spec.reserved_names import EVALUATIONS

UNASKED = "Not measured (`bench evaluate` takes further metrics with --metric):"
UNMEASURED = {
    "measured": "Done, but not measured (add the metric to the sweep's `metrics`):",
    "counted": "Done before it was counted (training again counts it):",
    "timed": "Done, but not timed:",
}

Item = tuple[str, str, str, Sequence[str], str]
"""Reason, row, data set, titles and seeds that one line speaks of."""


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
        groups.setdefault((reason, label, contents.data_title(data), some), []).append(title)
    items = [(*key[:3], titles, key[3]) for key, titles in groups.items()]
    return [Note("n/a:", _lines(items))] if items else []


def _unmeasured(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Name measured runs of which the record lacks a quantity of the table."""
    records = contents.records
    notes: dict[str, list[Item]] = {}
    for row in rows:
        is_trained = row.variant not in records.untrained and row.sweep != EVALUATIONS
        runs = [run for run in records.measured_runs if run.variant == row.variant]
        known = {(entry.run.data, entry.metric) for entry in contents.entries_of(row)}
        for data in dict.fromkeys(run.data for run in runs if row.sweep in ("", run.sweep)):
            shown = [column.metric for column in contents.columns if column.data == data]
            places = {contents.spec.rank(metric) for metric in shown}
            wanted = dict.fromkeys(shown)
            wanted |= {m: None for n, m in enumerate(contents.spec.metrics) if n not in places}
            lacking: dict[str, list[str]] = {}
            for metric in wanted:
                kind = kind_of(metric)
                if (data, metric) not in known and (kind == "measured" or is_trained):
                    text = UNASKED if row.sweep == EVALUATIONS else UNMEASURED[kind]
                    # what was not counted is a whole file, whose columns need no names
                    titles = [contents.quantities[metric].title] if kind != "counted" else []
                    lacking.setdefault(text, []).extend(titles)
            for text, titles in lacking.items():
                item = "", row.label, contents.data_title(data), titles, ""
                notes.setdefault(text, []).append(item)
    return [Note(text, _lines(items)) for text, items in notes.items()]


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


def _lines(items: Iterable[Item]) -> tuple[str, ...]:
    """Return one line for the rows of which the same is true."""
    groups: dict[tuple[str, str, tuple[str, ...], str], list[str]] = {}
    for reason, label, data, titles, seeds in items:
        groups.setdefault((reason, data, tuple(titles), seeds), []).append(label)
    return tuple(
        (f"{reason}: " if reason else "")
        + rows_listed(labels)
        + (f" ({listed(titles)})" if titles else "")
        + f" on {data}"
        + (f", {seeds}" if seeds else "")
        for (reason, data, titles, seeds), labels in groups.items()
    )
