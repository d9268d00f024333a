"""What the times of a table were measured on: wall time means nothing without its machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.reporting.layout import Column, Note, Row
from bench.reporting.plan import EVALUATIONS, read_object
from bench.reporting.records import Records, plain, seeds

Labels = dict[str, list[int]]
"""Rows of a table, with seeds."""

CAUTION = (
    "Times are of the wall clock and come out differently each time; other runs and other programs "
    "may have used the same machine."
)


def device_notes(records: Records, columns: Sequence[Column], rows: Sequence[Row]) -> list[Note]:
    """Say on which devices times were measured, and warn where a column mixes several.

    Args:
        records: What the table is made from.
        columns: Its columns.
        rows: Its rows.

    Returns:
        Notes; none for a table without times.
    """
    timed = dict.fromkeys((c.data, c.data_title) for c in columns if c.record == "timings")
    notes = [Note(CAUTION)] if timed else []
    for data, title in timed:
        held = _devices(records, data, rows)
        if len(held) > 1:
            items = tuple(f"{device}: {_list(labels)}" for device, labels in held.items())
            notes.append(Note(f"Times on {title} are of different devices; do not compare:", items))
        else:
            notes += [Note(f"Times on {title} were measured on: {device}.") for device in held]
    return notes


def _devices(records: Records, data: str, rows: Sequence[Row]) -> dict[str, Labels]:
    """Return the devices on which the finished runs of a data set trained, with rows and seeds."""
    labels = {(row.sweep, row.variant): row.label for row in rows}
    held: dict[str, Labels] = {}
    for run in plain(records.runs[records.runs["state"] == "done"]):
        label = labels.get((run["sweep"], run["variant"]))
        if label is not None and run["data"] == data and run["sweep"] != EVALUATIONS:
            origin = Path(run["path"]) / "provenance.json"
            device = _device(read_object(origin) if origin.exists() else {})
            held.setdefault(device, {}).setdefault(label, []).extend(seeds(run))
    return held


def _list(labels: Labels) -> str:
    """Return rows with their seeds, for people."""
    return ", ".join(
        f"{label} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        for label, seeds in labels.items()
    )


def _device(origin: Mapping[str, Any]) -> str:
    """Return the device of a run for people."""
    if not origin.get("device"):
        return "a device that was not recorded"
    threads = origin.get("threads")
    suffix = "" if threads is None else f", {threads} thread{'' if threads == 1 else 's'}"
    return f"{origin['device']} ({origin.get('device_name', 'unknown')}{suffix})"
