"""What stands under a table: everything that a reader could otherwise take wrongly."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from bench.reporting.devices import device_notes
from bench.reporting.layout import Column, Note, Row
from bench.reporting.origins import origin_notes
from bench.reporting.plan import EVALUATIONS, REAL, RETRY
from bench.reporting.records import Records, plain, seeds
from bench.reporting.specs import TableSpec
from bench.reporting.statistics import FEWEST_FOR_CLAIMS

Figures = Sequence[dict[str, Any]]

BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to the row of the real images is better; larger is not better in itself",
    "one": "nearer to 1 is better",
    None: "no direction is declared for it",
}
UNASKED = "Not measured (`bench evaluate` takes further metrics with --metric):"
UNMEASURED = {
    "figures": "Finished, but not measured (add the metric to the sweep's `metrics`):",
    "cost": "Finished before it was counted (training again counts it):",
    "timings": "Finished, but not timed:",
}


def write_notes(
    spec: TableSpec,
    records: Records,
    figures: Figures,
    columns: Sequence[Column],
    rows: Sequence[Row],
) -> list[Note]:
    """Return the notes of a table in the order in which they are printed.

    Args:
        spec: What the table shows.
        records: What it is made from.
        figures: The figures that went into it.
        columns: Its columns.
        rows: Its rows.

    Returns:
        The notes.
    """
    return [
        *_cells(rows),
        *_directions(columns),
        *_protocols(columns, rows, _references(records)),
        *_runs(records),
        *origin_notes(records, rows),
        *device_notes(records, columns, rows),
        *_published(spec, columns),
        *(Note(" ".join(note.split())) for note in spec.notes),
        *_reasons(columns, rows, figures),
        *_unmeasured(spec, records, figures, columns, rows),
        *_missing(spec, records, rows),
        *_absent(spec, records),
        *_strangers(records, rows),
    ]


def _cells(rows: Sequence[Row]) -> list[Note]:
    """Say what a cell is."""
    means = [cell for row in rows for cell in row.cells if cell.kind == "mean"]
    if not means:
        return []
    if all(cell.half_width is None for cell in means):
        return [Note("A cell is the value of one seed: (1), so there is no interval.")]
    text = "A cell is the mean ± half the width of the 95 % t interval over seeds (their number)"
    single = any(cell.half_width is None for cell in means)
    notes = [Note(f"{text}; one seed has no interval." if single else f"{text}.")]
    if min(cell.n for cell in means) < FEWEST_FOR_CLAIMS:
        notes.append(
            Note(
                f"Fewer than {FEWEST_FOR_CLAIMS} seeds: "
                "a difference between rows is an observation, not a significant one."
            )
        )
    return notes


def _directions(columns: Sequence[Column]) -> list[Note]:
    """Say which values are better; what a model costs is judged by nobody but the reader."""
    judged = [column for column in columns if column.record == "figures"]
    titles = dict.fromkeys((column.metric_title, column.direction) for column in judged)
    return [Note(f"{title}: {BETTER[direction]}.") for title, direction in titles]


def _references(records: Records) -> set[str]:
    """Return the names of all rows that are compared with, and not judged."""
    return {REAL, *records.references}


def _protocols(
    columns: Sequence[Column], rows: Sequence[Row], references: Collection[str]
) -> list[Note]:
    """Name the protocols, and warn where a metric has several."""
    measured = [column for column in columns if column.protocol]
    marks = dict.fromkeys((column.mark, column.protocol) for column in measured)
    notes = [Note(f"[{mark}] {text}" if mark else f"Protocol: {text}") for mark, text in marks]
    pairs = [(column.data, column.metric) for column in measured]
    split = [column for column in measured if pairs.count((column.data, column.metric)) > 1]
    if split:
        titles = _list(dict.fromkeys(f"{c.metric_title} on {c.data_title}" for c in split))
        notes.append(
            Note(
                f"{titles}: measured by more than one protocol, a column each; "
                "values of different columns must not be compared."
            )
        )
    for column in split:
        place = columns.index(column)
        filled = {row.variant for row in rows if row.cells[place].mean is not None}
        if filled and filled <= set(references):
            whom = "the real images" if filled == {REAL} else "references"
            notes.append(Note(f"[{column.mark}] was applied to {whom} alone."))
    return notes


def _runs(records: Records) -> list[Note]:
    """Say how many runs there are, of which seeds, and how they were trained and selected."""
    runs = records.runs[~records.runs["variant"].isin(_references(records))]
    runs = runs[runs["sweep"] != EVALUATIONS]
    done = runs[runs["state"] == "done"]
    if done.empty:
        return []
    numbers = _list(sorted({int(seed) for seed in done["seed"].dropna()}))
    lengths = sorted(set(zip(done["iterations"], done["batch_size"], strict=True)), key=str)
    training = _list(
        f"{iterations} iterations of {batch} examples" for iterations, batch in lengths
    )
    return [
        Note(f"Runs: {len(done)} of {len(runs)} finished. Seeds: {numbers}."),
        Note(f"Training: {training}. {records.selection.note}"),
    ]


def _published(spec: TableSpec, columns: Sequence[Column]) -> list[Note]:
    """Say where the paper's numbers come from."""
    if not any(column.paper for column in columns):
        return []
    return [Note(f"paper: as printed in {spec.source}; single numbers without intervals.")]


def _reasons(columns: Sequence[Column], rows: Sequence[Row], figures: Figures) -> list[Note]:
    """Say why figures have no value."""
    titles = {(column.data, column.metric): column for column in columns}
    lacking: dict[tuple[str, str, str, str], list[int]] = {}
    for row in rows:
        for figure in figures:
            same = figure["variant"] == row.variant and row.sweep in ("", figure["sweep"])
            column = titles.get((figure["data"], figure["metric"]))
            if same and column and figure["value"] is None:
                key = row.label, column.metric_title, column.data_title, figure["reason"]
                lacking.setdefault(key, []).extend(seeds(figure))
    items = tuple(
        f"{label}, {metric} on {data}{_seeds(held)}: {reason or 'no reason was recorded'}"
        for (label, metric, data, reason), held in lacking.items()
    )
    return [Note("n/a:", items)] if items else []


def _unmeasured(
    spec: TableSpec,
    records: Records,
    figures: Figures,
    columns: Sequence[Column],
    rows: Sequence[Row],
) -> list[Note]:
    """Name finished runs of which the record lacks a metric of the table."""
    shown = {(column.data, column.metric): column.metric_title for column in columns}
    runs = records.runs[records.runs["state"] == "done"]
    groups: dict[str, dict[str, None]] = {}
    for row in rows:
        is_trained = row.variant not in _references(records) and row.sweep != EVALUATIONS
        mine = runs[runs["variant"] == row.variant]
        mine = mine[mine["sweep"] == row.sweep] if row.sweep else mine
        for data in dict.fromkeys(mine["data"]):
            wanted = {metric: title for (where, metric), title in shown.items() if where == data}
            for metric in spec.metrics:
                if not any(name == metric or name.startswith(f"{metric}/") for name in wanted):
                    names = spec.names.metric(metric)
                    wanted[metric] = names.title if names else metric
            held = {
                figure["metric"]
                for figure in figures
                if (figure["variant"], figure["data"]) == (row.variant, data)
                and row.sweep in ("", figure["sweep"])
            }
            where = spec.names.data.get(data, data)
            for metric, title in wanted.items():
                record = spec.names.record(metric)
                if metric not in held and (record == "figures" or is_trained):
                    what = f"{row.label}, {title}" if record == "figures" else row.label
                    text = UNASKED if row.sweep == EVALUATIONS else UNMEASURED[record]
                    groups.setdefault(text, {})[f"{what} on {where}"] = None
    return [Note(text, tuple(items)) for text, items in groups.items()]


def _missing(spec: TableSpec, records: Records, rows: Sequence[Row]) -> list[Note]:
    """Name the runs that are not finished, with what finishes them."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    groups: dict[str, dict[tuple[str, str, str], list[int]]] = {}
    for run in plain(records.runs[records.runs["state"] != "done"]):
        if run["variant"] in _references(records) and not spec.has_figures:
            continue
        key = (run["sweep"], run["variant"])
        label = labels.get(key, labels.get(("", run["variant"]), run["variant"]))
        where = spec.names.data.get(run["data"], run["data"])
        why = {"missing": "not started"}.get(run["state"], run["state"])
        why += f" ({run['failure']})" if run["failure"] else ""
        groups.setdefault(run["command"], {}).setdefault((label, where, why), []).extend(seeds(run))
    return [
        Note(
            "Failed:" if RETRY in command else "Not finished:",
            tuple(
                f"{label} on {where}{_seeds(s)}: {why}" for (label, where, why), s in held.items()
            ),
            command,
        )
        for command, held in groups.items()
    ]


def _absent(spec: TableSpec, records: Records) -> list[Note]:
    """Name the paper's data sets of which there is no run at all."""
    groups: dict[str, list[str]] = {}
    for data, command in spec.data.items():
        if data not in set(records.runs["data"]):
            groups.setdefault(command, []).append(spec.names.data.get(data, data))
    return [
        Note(
            f"No runs yet on {_list(names)}, the data of {spec.source or 'this table'}:",
            (),
            command,
        )
        for command, names in groups.items()
    ]


def _strangers(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Name the rows that only the paper fills."""
    references = _references(records)
    names = [row.label for row in rows if not row.sweep and row.variant not in references]
    if not names or records.runs.empty:
        return []
    return [Note(f"No sweep shown here has {_list(names)}: such a row is the paper's alone.")]


def _seeds(numbers: Sequence[int]) -> str:
    """Return `, seed 1` or `, seeds 1, 2`, or nothing."""
    word = "seed" if len(numbers) == 1 else "seeds"
    return f", {word} {_list(sorted(set(numbers)))}" if numbers else ""


def _list(values: Iterable[object]) -> str:
    """Return values with commas between them."""
    return ", ".join(str(value) for value in values)
