"""Why places of a table are empty: what does not apply, was not measured, or has not been run."""

from collections.abc import Iterable, Sequence

from bench.record.records import plain, seeds
from bench.record.sweep_folder import RETRY
from bench.reporting.notes.draft import Draft
from bench.reporting.notes.wording import listed, rows_listed, seeds_text
from bench.reporting.tables.table import Note
from bench.spec.reserved_names import EVALUATIONS

UNASKED = "Not measured (`bench evaluate` takes further metrics with --metric):"
UNMEASURED = {
    "figures": "Finished, but not measured (add the metric to the sweep's `metrics`):",
    "cost": "Finished before it was counted (training again counts it):",
    "timings": "Finished, but not timed:",
}


def absence_notes(draft: Draft) -> list[Note]:
    """Return a note for everything that a table lacks, with what mends it.

    Args:
        draft: The table.

    Returns:
        The notes.
    """
    return [*_reasons(draft), *_unmeasured(draft), *_missing(draft), *_absent(draft)]


def _reasons(draft: Draft) -> list[Note]:
    """Say why figures have no value: each reason once, with all rows that it is true of."""
    titles = {(column.data, column.metric): column for column in draft.columns}
    lacking: dict[tuple[str, str, str, str], list[int]] = {}
    everyone: dict[tuple[str, str], set[int]] = {}
    for row in draft.rows:
        for figure in draft.figures_of(row):
            column = titles.get((figure["data"], figure["metric"]))
            if not column:
                continue
            everyone.setdefault((row.label, column.data_title), set()).update(seeds(figure))
            if figure["value"] is None:
                key = figure["reason"], row.label, column.data_title, column.metric_title
                lacking.setdefault(key, []).extend(seeds(figure))
    which: dict[tuple[str, str, str, str], list[str]] = {}
    for (reason, label, data, metric), held in lacking.items():
        some = "" if set(held) == everyone[label, data] else seeds_text(held)
        which.setdefault((reason, label, data, some), []).append(metric)
    items = _merged(
        (reason or "no reason was recorded", label, data, metrics, some)
        for (reason, label, data, some), metrics in which.items()
    )
    return [Note("n/a:", items)] if items else []


def _merged(entries: Iterable[tuple[str, str, str, Sequence[str], str]]) -> tuple[str, ...]:
    """Return one line for the rows of which the same is true: reason, data, metrics and seeds."""
    groups: dict[tuple[str, str, tuple[str, ...], str], list[str]] = {}
    for reason, label, data, metrics, some in entries:
        groups.setdefault((reason, data, tuple(metrics), some), []).append(label)
    return tuple(
        (f"{reason}: " if reason else "")
        + rows_listed(labels)
        + (f" ({listed(metrics)})" if metrics else "")
        + f" on {data}"
        + (f", {some}" if some else "")
        for (reason, data, metrics, some), labels in groups.items()
    )


def _unmeasured(draft: Draft) -> list[Note]:
    """Name finished runs of which the record lacks a metric of the table."""
    spec, records = draft.spec, draft.records
    shown = {(column.data, column.metric): column.metric_title for column in draft.columns}
    runs = records.runs[records.runs["state"] == "done"]
    groups: dict[str, list[tuple[str, str, str, Sequence[str], str]]] = {}
    for row in draft.rows:
        is_trained = row.variant not in records.untrained and row.sweep != EVALUATIONS
        mine = runs[runs["variant"] == row.variant]
        mine = mine[mine["sweep"] == row.sweep] if row.sweep else mine
        for data in dict.fromkeys(mine["data"]):
            wanted = {metric: title for (where, metric), title in shown.items() if where == data}
            for metric in spec.metrics:
                if not any(name == metric or name.startswith(f"{metric}/") for name in wanted):
                    names = spec.names.metric(metric)
                    wanted[metric] = names.title if names else metric
            held = {f["metric"] for f in draft.figures_of(row) if f["data"] == data}
            where = draft.data_title(data)
            lacking: dict[str, list[str]] = {}
            for metric, title in wanted.items():
                record = spec.names.record(metric)
                if metric not in held and (record == "figures" or is_trained):
                    text = UNASKED if row.sweep == EVALUATIONS else UNMEASURED[record]
                    lacking.setdefault(text, []).append(title)
            for text, titles in lacking.items():
                # what was not counted is a whole file, whose columns need no names
                named = [] if text == UNMEASURED["cost"] else titles
                groups.setdefault(text, []).append(("", row.label, where, named, ""))
    return [Note(text, _merged(entries)) for text, entries in groups.items()]


def _missing(draft: Draft) -> list[Note]:
    """Name the runs that are not finished, with what finishes them."""
    records = draft.records
    labels = {(row.sweep, row.variant): row.label for row in draft.rows}
    groups: dict[str, dict[tuple[str, str, str], list[int]]] = {}
    for run in plain(records.runs[records.runs["state"] != "done"]):
        if run["variant"] in records.untrained and not draft.spec.has_figures:
            continue
        key = (run["sweep"], run["variant"])
        label = labels.get(key, labels.get(("", run["variant"]), run["variant"]))
        where = draft.data_title(run["data"])
        why = {"missing": "not started"}.get(run["state"], run["state"])
        why += f" ({run['failure']})" if run["failure"] else ""
        groups.setdefault(run["command"], {}).setdefault((label, where, why), []).extend(seeds(run))
    return [
        Note(
            "Failed:" if RETRY in command else "Not finished:",
            tuple(
                f"{label} on {where}{f', {seeds_text(some)}' if some else ''}: {why}"
                for (label, where, why), some in held.items()
            ),
            command,
        )
        for command, held in groups.items()
    ]


def _absent(draft: Draft) -> list[Note]:
    """Name the paper's data sets of which there is no run at all."""
    groups: dict[str, list[str]] = {}
    for data, command in draft.spec.data.items():
        if data not in set(draft.records.runs["data"]):
            groups.setdefault(command, []).append(draft.data_title(data))
    return [
        Note(
            f"No runs yet on {listed(names)}, the data of {draft.spec.source or 'this table'}:",
            (),
            command,
        )
        for command, names in groups.items()
    ]
