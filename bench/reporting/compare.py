"""Two rows beside each other: what differs in their configuration, and in their figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError, UnknownName
from bench.record.records import Records, load_records, plain
from bench.reporting.notes.table_notes import view_notes
from bench.reporting.render.forms import note_lines
from bench.reporting.render.headings import cell_text
from bench.reporting.tables.build import build_table
from bench.reporting.tables.table import ARROWS
from bench.reporting.tables.table_spec import load_tables

ABSENT = "—"
TOGETHER = "compare"
"""The sweep that both sides are put into, so that they are rows of one table."""


Key = tuple[str, str, str]


@dataclass(frozen=True)
class Side:
    """Some runs that are compared as one row.

    Attributes:
        label: What the row is called.
        runs: Sweep, id and variant of each run.
    """

    label: str
    runs: tuple[Key, ...]


def find_side(records: Records, name: str) -> Side:
    """Return the runs that a user means.

    Args:
        records: All that is there.
        name: `sweep/variant`, `sweep/id`, the folder of a run, or the beginning of an id.

    Returns:
        The runs of one variant, or a single one.

    Raises:
        UnknownName: If nothing, or more than one thing, is called so.
    """
    rows = plain(records.runs)
    path = Path(name)
    by_folder = [row for row in rows if Path(row["path"]).resolve() == path.resolve()]
    by_name = [row for row in rows if f"{row['sweep']}/{row['variant']}" == name]
    by_id = [row for row in rows if name in (row["run"], f"{row['sweep']}/{row['run']}")]
    start = [row for row in rows if len(name) >= 4 and row["run"].startswith(name)]
    for found in (by_folder, by_name, by_id, start):
        rows_of_one = len({(row["sweep"], row["variant"]) for row in found}) == 1
        if found and (found is by_name or (rows_of_one and len({r["run"] for r in found}) == 1)):
            first = found[0]
            label = f"{first['sweep']}/{first['variant' if found is by_name else 'run']}"
            return Side(label, tuple(_key(row) for row in found))
    variants = dict.fromkeys(f"{row['sweep']}/{row['variant']}" for row in rows)
    raise UnknownName("variant or run", name, variants)


def find_folders(results: Path, name: str) -> list[Path]:
    """Return the folders of the runs that a user means, controls left out.

    Args:
        results: The folder of all results.
        name: The folder of a run, wherever it is; a sweep; or what `find_side` knows.

    Returns:
        The folders of runs that have begun, in the order of their sweep.

    Raises:
        UnknownName: If nothing, or more than one thing, is called so.
        BenchError: If none of them has begun.
    """
    if (Path(name) / "config.json").is_file():
        return [Path(name)]
    records = load_records(results)
    rows = plain(records.runs[records.runs["seed"].notna()])
    if name in {sweep.name for sweep in records.sweeps}:
        rows = [row for row in rows if row["sweep"] == name]
    else:
        keys = find_side(records, name).runs
        rows = [row for row in rows if _key(row) in keys]
    folders = dict.fromkeys(Path(row["path"]) for row in rows if row["state"] != "missing")
    if not folders:
        raise BenchError(f"{name}: nothing there was trained yet")
    return list(folders)


def compare_text(records: Records, first: Side, second: Side) -> str:
    """Compare two sides.

    Args:
        records: The record that both are in.
        first: What the other is compared with.
        second: The other.

    Returns:
        Lines on their configurations, on all their figures, and notes; the last one not ended.
    """
    together = _together(records, first, second)
    table = build_table(load_tables()["summary"], together, reference=first.label)
    figures = [("", *(row.label for row in table.rows), "Δ")]
    several = len({column.data for column in table.columns}) > 1
    for place, column in enumerate(table.columns):
        if column.view != "value":
            continue
        title = f"{column.metric_title} {ARROWS[column.direction]}".strip()
        where = (f"on {column.data_title}" if several else "", column.mark and f"[{column.mark}]")
        cells = [row.cells[place] for row in table.rows]
        values = [cell_text(cell, column) for cell in cells]
        change = cell_text(cells[-1], replace(column, view="difference"))
        texts = [number + rest + " *" * bold for number, rest, bold in (*values, change)]
        figures.append((" ".join(filter(None, (title, *where))), *texts))
    notes = note_lines(replace(table, notes=(*view_notes(["difference"]), *table.notes)))
    changes = _changes(records, first, second)
    return "\n".join([*_aligned(changes), "", *_aligned(figures), "", *notes])


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose parts stand in columns; a line of one part is left as it is."""
    places = range(max(len(line) for line in lines))
    wide = [max((len(ln[p]) for ln in lines if len(ln) > p), default=0) for p in places]
    return [
        "  ".join(part.ljust(wide[place]) for place, part in enumerate(line)).rstrip()
        for line in lines
    ]


def _together(records: Records, first: Side, second: Side) -> Records:
    """Return a record of both sides and of the controls of their sweeps, as one sweep."""
    labels = {key: side.label for side in (second, first) for key in side.runs}
    sweeps = {sweep for sweep, _, _ in labels}
    for run in plain(records.runs):
        if run["sweep"] in sweeps and run["variant"] in records.controls:
            labels[_key(run)] = run["variant"]

    def held(frame: pd.DataFrame) -> pd.DataFrame:
        rows = [row for row in plain(frame) if _key(row) in labels]
        rows = [row | {"variant": labels[_key(row)], "sweep": TOGETHER} for row in rows]
        rows.sort(key=lambda row: row["variant"] != first.label)
        return pd.DataFrame(rows, columns=frame.columns).astype(frame.dtypes)

    return replace(
        records,
        sweeps=(),
        runs=held(records.runs),
        figures=held(records.figures),
        timings=held(records.timings),
        cost=held(records.cost),
    )


def _key(row: Mapping[str, Any]) -> Key:
    """Return what tells a run from all others."""
    return row["sweep"], row["run"], row["variant"]


def _changes(records: Records, first: Side, second: Side) -> list[tuple[str, ...]]:
    """Return the keys whose values differ, with both values."""
    before, after = _settings(records, first), _settings(records, second)
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if not keys:
        return [(f"{first.label} and {second.label}: the configurations are the same",)]
    lines = [(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]
    return [("", first.label, second.label), *lines]


def _settings(records: Records, side: Side) -> dict[str, str]:
    """Return the flattened configuration of some runs; several values of a key side by side."""
    held: dict[str, dict[str, None]] = {}
    for run in plain(records.runs):
        if _key(run) in side.runs:
            for key, value in _flattened(records.config(run)).items():
                held.setdefault(key, {})[value] = None
    return {key: ", ".join(values) for key, values in held.items()}


def _flattened(value: Any, key: str = "") -> dict[str, str]:
    """Return nested settings as dotted key -> text."""
    if not isinstance(value, Mapping) or not value:
        return {key: str(value)}
    prefix = f"{key}." if key else ""
    return {
        name: text
        for part, held in value.items()
        for name, text in _flattened(held, f"{prefix}{part}").items()
    }
