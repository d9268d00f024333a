"""Notes on the devices and versions of the code that made the rows of a table, where they differ.

The same seed gives other bits on another device or by another version of the code.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.record.files import settings_text
from bench.record.provenance import (
    Origin,
    code_text,
    differing_files,
    has_mixed_code,
    read_execution,
    sessions_of,
)
from bench.record.records import Records
from bench.reporting.grouping import grouped
from bench.reporting.notes.wording import counts_text, listed, seeds_text
from bench.reporting.tables.contents import TableContents
from bench.reporting.tables.table import Column, Note, Row
from bench.spec.reserved_names import EVALUATIONS

CAUTION = "Times are wall-clock times and vary; other programs may have used the same machine."

PARTS = (
    "Whole batches of these runs on {} did not fit in memory, so their gradients were accumulated "
    "over parts; batch norm, if any, used the statistics of the parts:"
)

Made = tuple[str, int, Origin]
"""Label of a row, seed of a run, and where the run came from."""


def evaluation_notes(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say what `bench evaluate` measured: images of another program, or other samples of a run."""
    labels = {row.variant: row.label for row in rows if row.sweep == EVALUATIONS}
    items = []
    for run in records.runs:
        if run.sweep != EVALUATIONS or run.variant not in labels:
            continue
        if evaluated := records.config(run).get("evaluated"):
            seed = "" if run.seed is None else f", seed {run.seed}"
            items.append(f"{labels[run.variant]}{seed}: {_evaluated(evaluated)}")
    text = "Measured by bench evaluate, not trained by a sweep:"
    return [Note(text, tuple(items))] if items else []


def sampling_notes(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say with which options rows were drawn, where rows are drawn from the weights of others."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    sampled = [run for run in records.runs if run.sampling and (run.sweep, run.variant) in labels]
    if not any(run.sampling_id for run in sampled):
        return []
    options = grouped(
        (settings_text(run.sampling), labels[run.sweep, run.variant]) for run in sampled
    )
    items = tuple(f"{text}: {'; '.join(dict.fromkeys(of))}" for text, of in options.items())
    text = (
        "`VARIANT, NAME`: the weights of VARIANT, with other sampling options; VARIANT itself has "
        "the defaults of its model:"
    )
    return [Note(text, items)]


def _evaluated(origin: Mapping[str, Any]) -> str:
    if "run" in origin:
        run = "/".join(Path(origin["run"]).parts[-2:])
        sampling = settings_text(origin.get("sampling", {}))
        options = f" and {sampling}" if sampling else ""
        return f"the run {run}, drawn with sample seed {origin['sample_seed']}{options}"
    return (
        f"images of {Path(origin['path']).name} (sha256 {origin['sha256'][:12]}), "
        f"{counts_text(origin['per_class'])}"
    )


def start_notes(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say which rows are of runs that start from the weights of others, and of which."""
    labels = {(row.sweep, row.variant): row.label for row in rows if row.sweep != EVALUATIONS}
    items = {
        f"{labels[run.sweep, run.variant]}: {_started(start)}": None
        for run in records.measured_runs
        if (run.sweep, run.variant) in labels and (start := records.config(run).get("start_from"))
    }
    text = "These runs start from the weights of other runs, not from a new initialization:"
    return [Note(text, tuple(items))] if items else []


def _started(start: Mapping[str, Any]) -> str:
    players = f"players {', '.join(start['players'])}"
    if start.get("variant") is None:
        return f"the run {'/'.join(Path(start['run']).parts[-2:])}, {players}"
    return f"{start['variant']} of {Path(start['run']).name}, the run of the same seed, {players}"


def origin_notes(records: Records, columns: Sequence[Column], rows: Sequence[Row]) -> list[Note]:
    """Say on which devices times were measured, and warn where a data set mixes environments."""
    shown = dict.fromkeys((c.data, c.data_title) for c in columns if not c.paper)
    timed = {column.data for column in columns if column.kind == "timed"}
    notes = [Note(CAUTION)] if timed else []
    for data, title in shown:
        made = _made(records, data, rows)
        # A row of other sampling options has the weights of another row; its own record says where
        # they were measured.
        devices = _grouped(_made(records, data, rows, sampling_rows=False), _device)
        if data in timed and len(devices) == 1:
            notes.append(Note(f"Times on {title} were measured on: {listed(devices)}."))
        elif len(devices) > 1:
            text = f"Times on {title} are from different devices; do not compare them:"
            text = text if data in timed else f"Runs on {title} were trained on different devices:"
            notes.append(_mixture(text, devices))
        parts = _grouped(made, _parts)
        parts.pop("", None)
        if parts:
            notes.append(_mixture(PARTS.format(title), parts))
        notes += _code_notes(made, title)
        if len(libraries := _grouped(made, _libraries)) > 1:
            notes.append(
                _mixture(f"Runs on {title} were made with different libraries:", libraries)
            )
    return notes


def metric_code_notes(contents: TableContents, rows: Sequence[Row]) -> list[Note]:
    """Warn where a column has values by several versions of a metric's code.

    It is known of single values that `bench evaluate` measured, of others by `origin_notes`.
    """
    found = []
    for column in contents.columns:
        codes = grouped(
            (entry.code, (row.label, entry.run.seed))
            for row in rows
            for entry in contents.entries_of(row)
            if entry.code and entry.value is not None
            if (entry.run.data, entry.metric, entry.protocol) == column.key[:3]
        )
        if len(codes) > 1:
            items = _mixture("", {code: grouped(pairs) for code, pairs in codes.items()}).items
            found.append((items, f"{column.quantity.title} on {column.data_title}"))
    text = (
        "{}: measured by different versions of the metric's code; do not compare or average them:"
    )
    return [Note(text.format(listed(titles)), items) for items, titles in grouped(found).items()]


def _made(
    records: Records, data: str, rows: Sequence[Row], *, sampling_rows: bool = True
) -> list[Made]:
    """Return label, seed, and origin of the runs on a data set."""
    labels = {(row.sweep, row.variant): row.label for row in rows if row.sweep != EVALUATIONS}
    return [
        (
            labels[run.sweep, run.variant],
            run.seed,
            {**records.provenance(run), "execution": read_execution(run.path)},
        )
        for run in records.measured_runs
        if run.data == data and run.seed is not None and (run.sweep, run.variant) in labels
        if sampling_rows or not run.sampling_id
    ]


def _grouped(
    made: Sequence[Made], describe: Callable[[Origin], str]
) -> dict[str, dict[str, list[int]]]:
    """Return rows with seeds by a description of their origin."""
    groups = grouped((describe(origin), (label, seed)) for label, seed, origin in made)
    return {described: grouped(pairs) for described, pairs in groups.items()}


def _mixture(text: str, groups: Mapping[str, Mapping[str, Sequence[int | None]]]) -> Note:
    """Return a note with an item for each group; a row in several groups names its seeds."""
    every = [label for labels in groups.values() for label in labels]

    def named(label: str, seeds: Sequence[int | None]) -> str:
        text = seeds_text(seeds) if every.count(label) > 1 else ""
        return f"{label} ({text})" if text else label

    items = []
    for described, labels in groups.items():
        rows = "; ".join(named(label, seeds) for label, seeds in labels.items())
        items.append(f"{described}: {rows}")
    return Note(text, tuple(items))


def _device(origin: Origin) -> str:
    if not origin.get("device"):
        return "a device that was not recorded"
    threads = origin.get("threads")
    suffix = "" if threads is None else f", {threads} thread{'' if threads == 1 else 's'}"
    return f"{origin['device']} ({origin.get('device_name', 'unknown')}{suffix})"


def _parts(origin: Origin) -> str:
    parts = origin["execution"].get("micro_batch")
    return f"{parts['rows']} of {parts['batch_size']} examples at a time" if parts else ""


def _libraries(origin: Origin) -> str:
    versions = {"python": origin.get("python", "?"), **origin.get("versions", {})}
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _code_notes(made: Sequence[Made], title: str) -> list[Note]:
    """Warn where versions of the code are mixed that differ in what could change a number."""
    origins = [origin for _, _, origin in made]
    differing = differing_files(origins)
    codes = _grouped(made, lambda origin: code_text(origin, differing or ()))
    is_mixed = len(codes) > 1 or any(map(has_mixed_code, origins))
    if is_mixed and differing != []:
        return [_mixture(f"Runs on {title} were made by different versions of the code:", codes)]
    if not any(session.get("dirty") for origin in origins for session in sessions_of(origin)):
        return []
    return [Note(f"Runs on {title} were made by code that is in no commit: {listed(codes)}.")]
