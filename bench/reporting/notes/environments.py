"""Where and by which code the rows of a table were made, told where that is not one and the same.

The same seed gives other bits on another device or by another version of the code, and wall time
means nothing without its machine.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.record.execution_notes import read_execution
from bench.record.provenance import code_text, differing_files
from bench.record.records import Records, plain, seeds
from bench.reporting.notes.wording import listed, rows_listed, seeds_text
from bench.reporting.tables.table import Column, Note, Row
from bench.spec.reserved_names import EVALUATIONS

PARTS = (
    "Memory did not suffice for the whole batches of these runs on {}, so their gradients were "
    "added up over parts; where there is batch norm, its statistics are those of the parts:"
)

Origin = Mapping[str, Any]
Labels = dict[str, list[int]]
"""Rows of a table, with seeds."""

CAUTION = (
    "Times are of the wall clock and come out differently each time; other runs and other programs "
    "may have used the same machine."
)


def environment_notes(
    records: Records, columns: Sequence[Column], rows: Sequence[Row]
) -> list[Note]:
    """Say on which devices times were measured, and warn where a data set mixes environments.

    Args:
        records: What the table is made from.
        columns: Its columns.
        rows: Its rows.

    Returns:
        Notes; none for a table without times whose runs were all made alike.
    """
    shown = dict.fromkeys((c.data, c.data_title) for c in columns if not c.paper)
    timed = {column.data for column in columns if column.record == "timings"}
    notes = [Note(CAUTION)] if timed else []
    for data, title in shown:
        origins = _origins(records, data, rows)
        devices = _grouped(origins, _device)
        if data in timed and len(devices) == 1:
            notes += [Note(f"Times on {title} were measured on: {device}.") for device in devices]
        elif len(devices) > 1:
            what = "Times on {} are of different devices; do not compare:"
            text = what if data in timed else "Runs on {} were trained on different devices:"
            notes.append(_mixed(text.format(title), devices))
        parts = _grouped(origins, _parts)
        parts.pop("", None)
        if parts:
            notes.append(_mixed(PARTS.format(title), parts))
        notes += _code_notes(origins, title)
        libraries = _grouped(origins, _libraries)
        if len(libraries) > 1:
            notes.append(_mixed(f"Runs on {title} were made with different libraries:", libraries))
    return notes


def _code_notes(origins: Sequence[tuple[str, list[int], Origin]], title: str) -> list[Note]:
    """Warn where versions of the code are mixed that differ in what could change a figure."""
    differing = differing_files([origin for _, numbers, origin in origins if numbers])
    codes = _grouped(origins, lambda origin: code_text(origin, differing or ()))
    if len(codes) > 1 and differing != []:
        return [_mixed(f"Runs on {title} were made by different versions of the code:", codes)]
    if not any(origin.get("dirty") for _, _, origin in origins):
        return []
    return [Note(f"Runs on {title} were made by code that no commit holds: {listed(codes)}.")]


def _origins(
    records: Records, data: str, rows: Sequence[Row]
) -> list[tuple[str, list[int], Origin]]:
    """Return row, seed, provenance and execution of the finished runs of a data set."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    held: list[tuple[str, list[int], Origin]] = []
    for run in plain(records.runs[records.runs["state"] == "done"]):
        label = labels.get((run["sweep"], run["variant"]))
        if label is not None and run["data"] == data and run["sweep"] != EVALUATIONS:
            execution = read_execution(Path(run["path"]))
            held.append((label, seeds(run), {**records.provenance(run), "execution": execution}))
    return held


def _grouped(
    origins: Sequence[tuple[str, list[int], Origin]], told: Callable[[Origin], str]
) -> dict[str, Labels]:
    """Return rows and seeds by what is told of their origin; controls have no seeds."""
    groups: dict[str, Labels] = {}
    for label, numbers, origin in origins:
        if numbers:
            groups.setdefault(told(origin), {}).setdefault(label, []).extend(numbers)
    return groups


def _mixed(text: str, groups: Mapping[str, Labels]) -> Note:
    """Return a note with an item for each group; the seeds of a row that is in one stay unsaid."""

    def row(label: str, numbers: Sequence[int]) -> str:
        is_split = sum(label in labels for labels in groups.values()) > 1
        return f"{label} ({seeds_text(numbers)})" if is_split else label

    items = (
        f"{what}: {rows_listed(row(*held) for held in labels.items())}"
        for what, labels in groups.items()
    )
    return Note(text, tuple(items))


def _device(origin: Origin) -> str:
    """Return the device of a run for people."""
    if not origin.get("device"):
        return "a device that was not recorded"
    threads = origin.get("threads")
    suffix = "" if threads is None else f", {threads} thread{'' if threads == 1 else 's'}"
    return f"{origin['device']} ({origin.get('device_name', 'unknown')}{suffix})"


def _parts(origin: Origin) -> str:
    """Return the parts in which the batches of a run were computed, or nothing."""
    found = origin.get("execution", {}).get("micro_batch")
    return f"{found['rows']} of {found['batch_size']} rows at a time" if found else ""


def _libraries(origin: Origin) -> str:
    """Return Python and the libraries for people."""
    versions = {"python": origin.get("python", "?"), **origin.get("versions", {})}
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
