"""The record of some sweeps as typed objects: what tables, figures, pages and mirrors read.

`sweep.json` names the runs that a sweep expects, so runs that have not begun or died appear too. A
published sweep has CSV files in place of the folders of its runs; its tables come out the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from bench.console import say_left_out
from bench.errors import DamagedRecord, UnknownName
from bench.record.data_names import name_data_sets
from bench.record.evaluation_rows import SAVED
from bench.record.jsonl import read_entries
from bench.record.provenance import read_provenance
from bench.record.publication_files import (
    PUBLISHED,
    read_csv,
    read_origins,
    refuse_other_sizes,
)
from bench.record.quantities import Quantities
from bench.record.run_folder import State
from bench.record.sweep_folder import (
    EVALUATIONS,
    REAL,
    RecordedRun,
    RecordedSweep,
    RunKey,
    read_plan,
    read_sweep,
    settings_of,
)

if TYPE_CHECKING:
    import pandas as pd

FrameName = Literal["runs", "measurements", "curves", "cost", "timings"]

_AXES = dict.fromkeys(("sweep", "run", "variant", "model", "data"), "str") | {"seed": "Int64"}
_NUMBER = {"metric": "str", "value": "float64"}
_SPLIT = {"step": "Int64", "split": "str", "metric": "str", "protocol": "str", "value": "float64"}
_LENGTH = {"state": "str", "iterations": "Int64", "batch_size": "Int64", "failure": "str"}
COLUMNS: Mapping[FrameName, Mapping[str, str]] = {
    "runs": {**_AXES, **_LENGTH, "path": "str", "command": "str"},
    "measurements": {**_AXES, **_SPLIT, "reason": "str", "error": "float64"},
    "curves": {**_AXES, **_SPLIT},
    "cost": {**_AXES, **_NUMBER, "reason": "str"},
    "timings": {**_AXES, **_NUMBER},
}
"""The columns of each frame and file, with their types."""


class RecordEntry(NamedTuple):
    """One number of a run: a line of one of its files.

    Attributes:
        metric: Name of the quantity.
        value: The number as it was measured, unscaled; None where there is none.
        step: Iterations of the model that was measured.
        split: `samples` or `real`, both on the test split, or `validation`; of curves, `train`.
        reason: Why there is no value, else empty.
        error: Standard error over images, where it is known.
        code: The metric that measured it with a digest of its code, where that is known of the
            number itself: `bench evaluate` measured it.
    """

    run: RecordedRun
    metric: str
    value: float | None
    step: int = 0
    split: str = ""
    protocol: str = ""
    reason: str = ""
    error: float | None = None
    code: str = ""


@dataclass(frozen=True)
class Records:
    """Everything that some sweeps hold, in the order of the sweeps, their runs, and their files.

    The controls, such as the real images, come after the runs of their sweep; they have no seed.

    Attributes:
        results: The folder that was read.
        runs: The expected runs, whatever their state.
        measurements: What was measured, at every snapshot and on every split.
        timings: Wall-clock times and peak memory of trainings.
        cost: What was counted before the training; nothing for runs of older versions.
        selection: The rule that chose the snapshots that `final` shows.
        selected_steps: Run -> that snapshot, the last one for runs that are not here.
        selection_note: What the rule did, for readers; empty for `last`.
        origins: Sweep, run id, `config` or `provenance` -> what a publication says of the run.
    """

    results: Path
    sweeps: tuple[RecordedSweep, ...]
    runs: tuple[RecordedRun, ...]
    measurements: tuple[RecordEntry, ...]
    timings: tuple[RecordEntry, ...]
    cost: tuple[RecordEntry, ...]
    selection: str = "last"
    selected_steps: Mapping[RunKey, int] = field(default_factory=dict)
    selection_note: str = ""
    origins: Mapping[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def curves(self) -> tuple[RecordEntry, ...]:
        """The training curves of all runs, read when first asked for."""
        return _read_entries(self.runs, "rows.jsonl")

    @cached_property
    def quantities(self) -> Quantities:
        """The quantities of the numbers."""
        return Quantities({k: v for sweep in self.sweeps for k, v in sweep.quantities.items()})

    @cached_property
    def measured_runs(self) -> tuple[RecordedRun, ...]:
        """Controls and trained runs with measurements, which tables show.

        They are done, or were measured before further metrics were asked for; those measurements
        stay valid.
        """
        return tuple(run for run in self.runs if run.is_measured)

    @cached_property
    def final(self) -> tuple[RecordEntry, ...]:
        """The measurements of `measured_runs` at the selected step, by default the last one."""
        known = set(self.measured_runs)
        entries = [entry for entry in self.measurements if entry.run in known]
        steps: dict[RecordedRun, int] = {}
        for entry in entries:
            steps[entry.run] = max(entry.step, steps.get(entry.run, entry.step))
        steps = {run: self.selected_steps.get(run.key, step) for run, step in steps.items()}
        final: dict[tuple[object, ...], RecordEntry] = {}
        for entry in entries:
            if entry.step == steps[entry.run]:
                key = entry.run, entry.split, entry.metric, entry.protocol
                final.pop(key, None)  # of entries for the same, the last one counts
                final[key] = entry
        return tuple(final.values())

    @property
    def untrained(self) -> tuple[str, ...]:
        """Names of the controls; `real` is always included."""
        return tuple(dict.fromkeys([REAL, *(r.variant for r in self.runs if r.is_control)]))

    def config(self, run: RecordedRun) -> Mapping[str, Any]:
        """Return the complete configuration of a run; empty where there is none.

        `sampling` in it are the options that the samples of its row were drawn with.
        """
        settings = settings_of(run.path) or self.origins.get((run.sweep, run.id, "config"), {})
        return {**settings, "sampling": run.sampling} if settings and run.sampling else settings

    def provenance(self, run: RecordedRun) -> Mapping[str, Any]:
        """Return where a run came from; empty where that was not recorded, or is damaged."""
        with suppress(DamagedRecord):  # which makes it a failed run
            if origin := read_provenance(run.path):
                return origin
        return self.origins.get((run.sweep, run.id, "provenance"), {})

    def rows(self, name: FrameName) -> Iterator[tuple[str | int | float | None, ...]]:
        """Yield the rows of a frame, in the order of `COLUMNS`."""
        attributes = ["reason" if c == "failure" else c for c in list(COLUMNS[name])[len(_AXES) :]]
        for item in getattr(self, name):
            run = item if name == "runs" else item.run
            axes = run.sweep, run.id, run.variant, run.model, run.data, run.seed
            yield *axes, *(getattr(item, attribute) for attribute in attributes)

    def frame(self, name: FrameName) -> "pd.DataFrame":
        """Return a part of the record as a data frame, for notebooks.

        Args:
            name: `runs`, `measurements`, `curves`, `cost` or `timings`.

        Returns:
            One row for each run, or for each number with the run it belongs to; the columns are
            those of the CSV files, and a number that is not there is missing.
        """
        import pandas as pd

        return pd.DataFrame(self.rows(name), columns=list(COLUMNS[name])).astype(COLUMNS[name])


def load_records(results: Path, sweeps: Sequence[str] | None = None) -> Records:
    """Read the record of some sweeps.

    Args:
        results: The folder of all results.
        sweeps: Names of sweeps, in the order wanted; None for all of them, by name.

    Returns:
        The record; empty where nothing has been run.

    Raises:
        UnknownName: If a sweep has no results.
        DamagedRecord: If the plan of a sweep that was named, or of all, is damaged. Where all
            were asked for, a damaged one is left out, as are damaged files of runs.
    """
    known = sorted(path.parent.name for path in results.glob("*/sweep.json"))
    names = known if sweeps is None else list(dict.fromkeys(sweeps))
    if sweeps is None or EVALUATIONS in sweeps:
        say_lost_rows(results)
    if unknown := [name for name in names if name not in known]:
        raise UnknownName("sweep", unknown[0], known)
    parts, problems = [], []
    for name in names:
        try:
            parts.append(_read_sweep(results / name))
        except DamagedRecord as problem:
            if sweeps is not None:
                raise
            problems.append(problem)
    if problems and not parts:
        raise problems[0]
    for left_out in problems:
        say_left_out(left_out)
    joined: dict[str, Any] = {
        part: tuple(chain.from_iterable(getattr(records, part) for records in parts))
        for part in ("sweeps", "runs", "measurements", "timings", "cost")
    }
    origins = {key: value for records in parts for key, value in records.origins.items()}
    named = name_data_sets(joined["runs"])
    joined["runs"] = tuple(named.values())
    for part in ("measurements", "timings", "cost"):
        joined[part] = tuple(entry._replace(run=named[entry.run]) for entry in joined[part])
    return Records(results, **joined, origins=origins)


def say_lost_rows(results: Path) -> None:
    """Say which rows of `bench evaluate` are not in their `sweep.json`, as where that was lost."""
    folder = results / EVALUATIONS
    rows = {path.parent for path in folder.glob(f"{SAVED}*/done")}
    if rows and (folder / "sweep.json").exists():
        try:
            rows -= {run.path for run in read_plan(folder)[1]}
        except DamagedRecord:  # which is said by whoever reads it
            return
    for row in sorted(rows):
        command = ""
        with suppress(DamagedRecord):
            command = read_provenance(row).get("command") or ""
        remedy = f"keep it again: {command or 'bench evaluate --name'}"
        say_left_out(DamagedRecord(f"{row} is a row that {folder}/sweep.json lacks; {remedy}"))


def _read_sweep(folder: Path) -> Records:
    """Read a sweep from its publication, or from the folders of its runs."""
    if (folder / PUBLISHED).exists():
        return _read_publication(folder)
    sweep, runs = read_sweep(folder)
    return Records(
        results=folder.parent,
        sweeps=(sweep,),
        runs=tuple(runs),
        measurements=_read_entries(runs, "evaluation.jsonl"),
        timings=_read_entries(runs, "timings.jsonl", trained=True),
        cost=_read_entries(runs, "cost.jsonl"),
    )


def column_name(metric: str, protocol: str | None) -> str:
    """Return what tells the numbers of one metric and protocol from others of a run."""
    return f"{metric}[{protocol}]"


def _read_publication(folder: Path) -> Records:
    sweep, plan = read_plan(folder)
    expected = {(run.id, run.variant): run for run in plan}
    runs: dict[tuple[str, str], RecordedRun] = {}

    def entries(name: FrameName, file: str) -> tuple[RecordEntry, ...]:
        found = []
        for row in read_csv(folder / file, COLUMNS[name]):
            run = runs[row["run"], row["variant"]]
            origin = {} if run.sampling_id else origins.get((sweep.name, run.id, "provenance"), {})
            code = origin.get("codes", {}).get(column_name(row["metric"], row.get("protocol")))
            found.append(_entry(run, {**row, "code": code}))
        return tuple(found)

    try:
        origins = read_origins(folder, sweep.name)
        for row in read_csv(folder / "runs.csv", [*_AXES, *_LENGTH]):
            key = row["run"], row["variant"]
            origin = origins.get((sweep.name, row["run"], "provenance"), {})
            if row["state"] not in get_args(State):
                raise ValueError(f"there is no state {row['state']!r}")
            runs[key] = replace(
                expected[key],
                data=row["data"] or "",
                called=row["data"] or "",
                fingerprint=origin.get("data_fingerprint") or "",
                state=row["state"],
                is_measured=row["state"] == "done",
                reason=row["failure"] or "",
                iterations=row["iterations"] and int(row["iterations"]),
                batch_size=row["batch_size"] and int(row["batch_size"]),
            )
        runs |= {key: run for key, run in expected.items() if key not in runs}  # missing
        records = Records(
            results=folder.parent,
            sweeps=(sweep,),
            runs=tuple(runs.values()),
            measurements=entries("measurements", "measurements.csv"),
            timings=entries("timings", "timings.csv"),
            cost=entries("cost", "cost.csv"),
            origins=origins,
        )
        refuse_other_sizes(folder)
        return records
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DamagedRecord(f"the publication {folder} is damaged: {error!r}") from error


def _read_entries(
    runs: Iterable[RecordedRun], name: str, *, trained: bool = False
) -> tuple[RecordEntry, ...]:
    """Return the entries of the files of some runs; if `trained`, rows have those of their run."""
    entries: list[RecordEntry] = []
    for run in runs:
        folder = run.trained_in if trained else run.path
        try:
            entries += [_entry(run, line) for line in read_entries(folder / name)]
        except DamagedRecord as problem:  # must not cost the report of all other runs
            if run.state != "failed":  # a failed run says it as its reason
                say_left_out(problem)
    return tuple(entries)


def _entry(run: RecordedRun, line: Mapping[str, Any]) -> RecordEntry:
    value, error = line["value"], line.get("error")
    code = line.get("code") or line.get("added") or ""
    return RecordEntry(
        run=run,
        metric=line["metric"],
        value=None if value is None else _finite(value),
        step=int(line.get("step") or 0),
        split=line.get("split") or "",
        protocol=line.get("protocol") or "",
        reason=line.get("reason") or "",
        error=None if error is None else _finite(error),
        code=code if "@" in code else "",  # that of an import is not known
    )


def _finite(number: float | str) -> float:
    """Return a number; a `ValueError` for NaN and infinities, which a CSV file may hold."""
    if not isfinite(value := float(number)):
        raise ValueError(f"{number} is not finite")
    return value
