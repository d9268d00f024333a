"""Two variants or runs side by side: where their configurations and their measurements differ."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import BenchError, UnknownName, first_few
from bench.record.files import flatten
from bench.record.records import RecordEntry, Records, load_records
from bench.record.sweep_folder import RunKey
from bench.reporting.grouping import grouped
from bench.reporting.notes.table_notes import view_notes
from bench.reporting.render.headings import cell_text
from bench.reporting.render.text import aligned, note_lines
from bench.reporting.tables.build import build_table
from bench.reporting.tables.families import Family
from bench.reporting.tables.table import ARROWS, Table
from bench.reporting.tables.table_spec import load_tables
from bench.spec.comparisons import Comparisons
from bench.spec.reserved_names import EVALUATIONS

ABSENT = "—"
SHORTEST = 4  # characters of an id that mean it
TWO_ROWS = Family(Comparisons(), "those of two rows chosen on the command line")
"""Comparisons of all metrics that are printed."""


class ComparedRuns(NamedTuple):
    """Runs, by their keys, that are compared as one row."""

    label: str
    runs: tuple[RunKey, ...]


class Comparison(NamedTuple):
    """Two rows side by side: keys of settings with their different values, and measurements."""

    first: str
    second: str
    changes: list[tuple[str, list[Any], list[Any]]]
    table: Table


def find_runs(records: Records, name: str) -> ComparedRuns:
    """Return all runs of `sweep/variant`, or that of `sweep/id`, a folder, or the start of an id.

    A name that means nothing, or several runs, is an error that names the variants.
    """
    runs, folder = records.runs, os.path.realpath(name)
    trained = [run for run in runs if not run.sampling_id]
    of_variant = [run for run in runs if f"{run.sweep}/{run.variant}" == name]
    for meant in (
        [run for run in runs if os.path.realpath(run.path) == folder],
        of_variant,
        [run for run in trained if name in (run.id, f"{run.sweep}/{run.id}")],
        [
            run
            for run in trained
            if len(name.rpartition("/")[2]) >= SHORTEST
            and (run.id.startswith(name) or f"{run.sweep}/{run.id}".startswith(name))
        ],
    ):
        if meant and meant is of_variant:
            return ComparedRuns(name, tuple(run.key for run in meant))
        places = {f"{run.sweep}/{run.id}": run.key for run in reversed(meant)}
        if len(places) == 1:
            return ComparedRuns("".join(places), (*places.values(),))
        if places:
            raise BenchError(f"{name} means several runs; name one: {first_few(sorted(places), 5)}")
    variants = dict.fromkeys(f"{run.sweep}/{run.variant}" for run in runs)
    sweep = name.partition("/")[0]
    if own := [variant for variant in variants if variant.startswith(f"{sweep}/")]:
        raise UnknownName("variant or run", name, own)
    hint = ""
    if any(run.id.startswith(name) for run in trained):
        hint = f"; an id needs at least {SHORTEST} characters"
    raise UnknownName("variant or run", name, variants, hint)


def find_folders(results: Path, name: str) -> list[Path]:
    """Return the folders of all begun runs that a name means.

    It is a folder, a sweep, or a name as in `find_runs`.
    """
    for folder in (Path(name), results / name):  # one that the sweep has no more may be there
        if (folder / "config.json").is_file():
            return [folder]
    records = load_records(results)
    if name.partition("/")[0] == EVALUATIONS:
        raise BenchError(f"{name}: what `bench evaluate` kept was not trained by a sweep")
    is_sweep = name in {sweep.name for sweep in records.sweeps}
    keys = () if is_sweep else find_runs(records, name).runs
    folders = [
        run.trained_in
        for run in records.runs
        if (run.sweep == name if is_sweep else run.key in keys)
        if run.seed is not None and run.state != "missing"
    ]
    if not folders:
        raise BenchError(f"{name}: nothing has been trained there yet")
    return list(dict.fromkeys(folders))


def compare_sides(
    records: Records, first: ComparedRuns, second: ComparedRuns, family: Family = TWO_ROWS
) -> Comparison:
    """Return where two configurations differ, and their measurements."""
    together = _together(records, first, second)
    summary = load_tables()["summary"]
    table = build_table(summary, together, reference=first.label, compare=family)
    changes = _changes(_settings(records, first), _settings(records, second))
    return Comparison(first.label, second.label, changes, table)


def comparison_text(compared: Comparison) -> str:
    """Return a comparison as text for the console."""
    table = compared.table
    lines = [("", *(row.label for row in table.rows), "Δ")]
    several = len({column.data for column in table.columns}) > 1
    for index, column in enumerate(table.columns):
        if column.view != "value":
            continue
        title = f"{column.quantity.title} {ARROWS[column.quantity.direction]}".strip()
        title += f" on {column.data_title}" if several else ""
        title += f" [{column.mark}]" if column.mark else ""
        cells = [cell_text(row.cells[index], column) for row in table.rows]
        change = cell_text(table.rows[-1].cells[index], replace(column, view="difference"))
        texts = [text.number + text.rest + " *" * text.is_bold for text in (*cells, change)]
        lines.append((title, *texts))
    if not any(line[-1] for line in lines[1:]):  # no seeds or data in common
        lines = [line[:-1] for line in lines]
    kept = [note for note in table.notes if note not in view_notes(["gap"])]  # it is not printed
    notes = note_lines(replace(table, notes=(*view_notes(["difference"]), *kept)))
    return "\n".join([*aligned(_change_lines(compared)), "", *aligned(lines), "", *notes])


def _together(records: Records, first: ComparedRuns, second: ComparedRuns) -> Records:
    """Return a record of one sweep with the compared runs and the controls of their sweeps."""
    labels = {key: side.label for side in (second, first) for key in side.runs}
    sweeps = {sweep for sweep, _, _ in labels}
    labels |= {r.key: r.variant for r in records.runs if r.is_control and r.sweep in sweeps}
    runs = {
        run: replace(run, sweep="compare", variant=labels[run.key])
        for run in sorted(records.runs, key=lambda run: labels.get(run.key) != first.label)
        if run.key in labels
    }

    def renamed(entries: Iterable[RecordEntry]) -> tuple[RecordEntry, ...]:
        kept = (e._replace(run=runs[e.run]) for e in entries if e.run in runs)
        return tuple(sorted(kept, key=lambda entry: entry.run.variant != first.label))

    return replace(
        records,
        runs=tuple(runs.values()),
        measurements=renamed(records.measurements),
        timings=renamed(records.timings),
        cost=renamed(records.cost),
    )


def _changes(
    before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]
) -> list[tuple[str, list[Any], list[Any]]]:
    pairs = {key: (before.get(key, []), after.get(key, [])) for key in sorted({*before, *after})}
    return [
        (key, *values) for key, values in pairs.items() if _texts(values[0]) != _texts(values[1])
    ]


def _change_lines(compared: Comparison) -> list[tuple[str, ...]]:
    first, second = compared.first, compared.second
    if not compared.changes:
        return [(f"{first} and {second}: the configurations are the same",)]
    lines = [(key, _texts(before), _texts(after)) for key, before, after in compared.changes]
    return [("", first, second), *lines]


def _texts(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values)) if values else ABSENT


def _settings(records: Records, side: ComparedRuns) -> dict[str, list[Any]]:
    """Return the flattened configuration of some runs: key -> its different values."""
    configs = [flatten(records.config(run)) for run in records.runs if run.key in side.runs]
    pairs = {(key, str(value)): value for config in configs for key, value in config.items()}
    return grouped((key, value) for (key, _), value in pairs.items())
