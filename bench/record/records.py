"""The record on disk as data frames: what every table, file and page is made from.

Each sweep says in `sweep.json` which runs it expects. So a run that has not started, died or
stopped half-way appears too: with its state, and with the command that completes it.

A sweep that was published has CSV files in place of the folders of its runs; its tables come out
the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.console import say
from bench.errors import BenchError, UnknownName
from bench.record.files import read_json
from bench.record.jsonl import read_jsonl
from bench.record.sweep_folder import Sweep, read_plan
from bench.spec.reserved_names import REAL

_TEXT = "str"
AXES = dict.fromkeys(("sweep", "run", "variant", "model", "data"), _TEXT) | {"seed": "Int64"}
RUNS = {
    **AXES,
    **{"state": _TEXT, "iterations": "Int64", "batch_size": "Int64"},
    **dict.fromkeys(("failure", "path", "command"), _TEXT),
}
CURVES = {
    **AXES,
    **{"step": "Int64", "split": _TEXT, "metric": _TEXT, "protocol": _TEXT, "value": "float64"},
}
FIGURES = {**CURVES, "reason": _TEXT, "error": "float64"}
TIMINGS = {**AXES, "metric": _TEXT, "value": "float64"}
COST = {**TIMINGS, "reason": _TEXT}

PUBLISHED = "origins.json"
"""What runs were and where they came from; it makes a folder the publication of a sweep."""

TOLD_APART_BY = {"config": "seed", "provenance": "started"}
"""What a publication keeps once for all runs that share it, and the key that tells those apart."""


@dataclass(frozen=True)
class Selection:
    """Which of its snapshots stands for a run; see `bench.reporting.snapshot_selection`.

    Attributes:
        rule: Its name.
        steps: Sweep, run id, variant -> step; the last one for runs that are not here.
        note: What a table says about it.
    """

    rule: str
    steps: Mapping[tuple[str, str, str], int]
    note: str


LAST = Selection("last", {}, "Selection: the last iterate, never the best one.")


@dataclass(frozen=True)
class Records:
    """All rows of some sweeps, in the order of the sweeps, their runs, and the rows' files.

    The controls, such as the real images, come after the runs of their sweep; their variant and
    model are the name of the control, and they have no seed. Images from elsewhere may have none
    either.

    Attributes:
        results: The folder that was read.
        sweeps: The sweeps, in the order asked for.
        runs: One row for each expected run: the axes, `state`, `iterations`, `batch_size`,
            `failure` (last line of the traceback), `path` (its folder), and `command`, which
            finishes it.
        figures: Evaluations: the axes, `step`, `split`, `metric`, `protocol`, `value` (NaN where
            there is none), `reason`, and `error`, the standard error over images where it is known.
        timings: What differs between identical runs: the axes, `metric`, `value`.
        cost: What was counted before the training: the axes, `metric`, `value` (NaN where there is
            none) and `reason`; nothing for runs older than that.
        selection: Which snapshot of a run `final` shows.
        origins: Sweep, run id, `config` or `provenance` -> what a publication says of the run.
    """

    results: Path
    sweeps: tuple[Sweep, ...]
    runs: pd.DataFrame
    figures: pd.DataFrame
    timings: pd.DataFrame
    cost: pd.DataFrame
    selection: Selection = LAST
    origins: Mapping[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)

    def config(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the complete configuration of a row of `runs`; empty where there is none."""
        path = Path(run["path"]) / "config.json"
        if path.exists():
            return dict(read_json(path).get("config", {}))
        return dict(self.origins.get((run["sweep"], run["run"], "config"), {}))

    def provenance(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return where a row of `runs` came from; empty where that was not recorded."""
        path = Path(run["path"]) / "provenance.json"
        if path.exists():
            return read_json(path)
        return dict(self.origins.get((run["sweep"], run["run"], "provenance"), {}))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Training curves: the axes, `step`, `split`, `metric`, `protocol`, `value`.

        They are read when first asked for, since tables do not need them.
        """
        return _collect(self.runs, "rows.jsonl", CURVES)

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls, in the order of their sweeps."""
        runs = self.runs[self.runs["seed"].isna() & (self.runs["variant"] == self.runs["model"])]
        return tuple(dict.fromkeys(runs["variant"]))

    @property
    def untrained(self) -> tuple[str, ...]:
        """Variants that no run trains: the real images, measured or not, and the controls."""
        return tuple(dict.fromkeys([REAL, *self.controls]))

    @property
    def final(self) -> pd.DataFrame:
        """The figures of finished runs at the selected step, the last one: what tables show."""
        figures = self.finished(self.figures)
        last = figures.groupby(["sweep", "run", "variant"])["step"].transform("max")
        keys = zip(figures["sweep"], figures["run"], figures["variant"], last, strict=True)
        chosen = [self.selection.steps.get(key[:3], key[3]) for key in keys]
        figures = figures[figures["step"] == pd.Series(chosen, figures.index, dtype="Int64")]
        same = ["sweep", "run", "variant", "split", "metric", "protocol"]
        return figures.drop_duplicates(same, keep="last").reset_index(drop=True)

    def finished(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return those rows of a frame that belong to finished runs."""
        done = self.runs.loc[self.runs["state"] == "done", ["sweep", "run", "variant"]]
        return frame.merge(done, on=["sweep", "run", "variant"])


def load_records(results: Path, sweeps: Sequence[str] | None = None) -> Records:
    """Read the record of some sweeps.

    Args:
        results: The folder of all results.
        sweeps: Names of sweeps, in the order wanted; None for all of them, by name.

    Returns:
        The record; without rows where nothing has been run.

    Raises:
        UnknownName: If a sweep has no results.
        BenchError: If a file is damaged; names it.
    """
    known = sorted(path.parent.name for path in results.glob("*/sweep.json"))
    names = known if sweeps is None else list(dict.fromkeys(sweeps))
    if unknown := [name for name in names if name not in known]:
        raise UnknownName("sweep", unknown[0], known)
    read = [_published if (results / n / PUBLISHED).exists() else _recorded for n in names]
    every = [read_sweep(results / name) for read_sweep, name in zip(read, names, strict=True)]
    return every[0] if len(every) == 1 else _joined(results, every)


def _recorded(folder: Path) -> Records:
    """Read a sweep from the folders of its runs."""
    sweep, expected = read_plan(folder)
    runs = _frame(expected, RUNS)
    return Records(
        results=folder.parent,
        sweeps=(sweep,),
        runs=runs,
        figures=_collect(runs, "evaluation.jsonl", FIGURES),
        timings=_collect(runs, "timings.jsonl", TIMINGS),
        cost=_collect(runs, "cost.jsonl", COST),
    )


def _published(folder: Path) -> Records:
    """Read a sweep from the files of its publication."""
    sweep, _ = read_plan(folder)
    runs = _read_csv(folder / "runs.csv", {n: kind for n, kind in RUNS.items() if n != "path"})
    runs.insert(list(RUNS).index("path"), "path", [str(folder / run) for run in runs["run"]])
    runs["command"] = pd.Series([sweep.command] * len(runs), dtype=_TEXT)
    content = read_json(folder / PUBLISHED)
    origins = {
        (sweep.name, run, kind): {**entry["shared"], own: value}
        for kind, own in TOLD_APART_BY.items()
        for entry in content[kind]
        for run, value in entry["runs"].items()
    }
    return Records(
        results=folder.parent,
        sweeps=(sweep,),
        runs=runs,
        figures=_read_csv(folder / "figures.csv", FIGURES),
        timings=_read_csv(folder / "timings.csv", TIMINGS),
        cost=_read_csv(folder / "cost.csv", COST),
        origins=origins,
    )


def _joined(results: Path, parts: Sequence[Records]) -> Records:
    """Return several sweeps as one record."""
    frames = {
        name: pd.concat(
            [_frame([], columns), *(getattr(part, name) for part in parts)], ignore_index=True
        )
        for name, columns in (
            ("runs", RUNS),
            ("figures", FIGURES),
            ("timings", TIMINGS),
            ("cost", COST),
        )
    }
    return Records(
        results=results,
        sweeps=tuple(sweep for part in parts for sweep in part.sweeps),
        origins={key: held for part in parts for key, held in part.origins.items()},
        **frames,
    )


def seeds(row: Mapping[str, Any]) -> list[int]:
    """Return the seed of a row in a list, or an empty list where it has none."""
    return [] if pd.isna(row["seed"]) else [int(row["seed"])]


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dictionaries, column name -> value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _collect(runs: pd.DataFrame, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of one file of every run, each with the axes of its run."""
    rows = []
    for run in plain(runs):
        axes = {axis: run[axis] for axis in AXES}
        path = Path(run["path"]) / name
        for number, row in enumerate(_readable(path, run), start=1):
            numbers = row.get("value", ""), row.get("error")
            if not isinstance(row.get("metric"), str) or not all(map(_is_value, numbers)):
                raise BenchError(
                    f"{path}:{number}: a row needs a metric, and a value that is a number or null; "
                    f"got {row}"
                )
            blank = {"step": 0, "split": "", "protocol": "", "reason": "", "error": None}
            rows.append(blank | row | axes)
    return _frame(rows, columns)


def _read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a file of `bench.trackers.csv_files` into a frame of these columns and types."""
    try:
        text = pd.read_csv(path, usecols=list(columns), dtype=_TEXT, keep_default_na=False)
        return pd.DataFrame(
            {
                name: text[name]
                if kind == _TEXT
                else pd.Series([float(value) if value else None for value in text[name]]).astype(
                    kind
                )  # type: ignore[call-overload]
                for name, kind in columns.items()
            }
        )
    except (OSError, ValueError) as error:
        raise BenchError(f"cannot read {path}: {error}") from error


def _readable(path: Path, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a file; one damaged file must not cost the report of all other runs."""
    try:
        return read_jsonl(path)
    except (BenchError, OSError) as problem:
        if run["state"] != "failed":  # or it has been told already
            say(f"warning: left out: {problem}")
        return []


def _is_value(value: object) -> bool:
    """Return whether a value may stand in a row."""
    return value is None or isinstance(value, int | float)


def _frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return rows as a frame of exactly these columns and types."""
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in columns.items()}
    )
