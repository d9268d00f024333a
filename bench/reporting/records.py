"""The record on disk as data frames: what every table, file and page is made from.

Each sweep says in `sweep.json` which runs it expects. So a run that has not started, died or
stopped half-way appears too: with its state, and with the command that completes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bench.errors import BenchError, UnknownName
from bench.tracking.rows import read_rows

State = Literal["done", "failed", "unfinished", "missing"]

REAL = "real"
"""Variant and model of the real test images that go through the same metrics."""

RETRY = "--retry-failed"
"""The option of `bench run` without which a failed run is left alone."""

AXES = {"sweep": "str", "run": "str", "variant": "str", "model": "str", "data": "str"} | {
    "seed": "Int64"
}
RUNS = (
    AXES
    | {"state": "str", "iterations": "Int64", "batch_size": "Int64"}
    | {
        "failure": "str",
        "path": "str",
        "command": "str",
    }
)
CURVES = (
    AXES
    | {"step": "Int64", "split": "str", "metric": "str", "protocol": "str"}
    | {"value": "float64"}
)
FIGURES = CURVES | {"reason": "str"}
TIMINGS = AXES | {"metric": "str", "value": "float64"}


@dataclass(frozen=True)
class Sweep:
    """What a sweep says of itself.

    Attributes:
        name: Its name, and that of its folder.
        title: One line for people.
        spec: The file it was made from, as it was given.
        command: What runs it, or continues it.
    """

    name: str
    title: str
    spec: str
    command: str


@dataclass(frozen=True)
class Records:
    """All rows of some sweeps, in the order of the sweeps, their runs, and the rows' files.

    The references to real images come after the runs of their sweep; their variant and model
    are `real`, and they have no seed.

    Attributes:
        results: The folder that was read.
        sweeps: The sweeps, in the order asked for.
        runs: One row for each expected run: the axes, `state`, `iterations`, `batch_size`,
            `failure` (last line of the traceback), `path` (its folder), and `command`, which
            finishes it.
        figures: Evaluations: the axes, `step`, `split`, `metric`, `protocol`, `value` (NaN where
            there is none) and `reason`.
        timings: What differs between identical runs: the axes, `metric`, `value`.
    """

    results: Path
    sweeps: tuple[Sweep, ...]
    runs: pd.DataFrame
    figures: pd.DataFrame
    timings: pd.DataFrame

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Training curves: the axes, `step`, `split`, `metric`, `protocol`, `value`.

        They are read when first asked for, since tables do not need them.
        """
        return _collect(self.runs, "rows.jsonl", CURVES)

    @property
    def final(self) -> pd.DataFrame:
        """The figures of finished runs at their last evaluated step: what tables show."""
        done = self.runs.loc[self.runs["state"] == "done", ["sweep", "run", "variant"]]
        figures = self.figures.merge(done, on=["sweep", "run", "variant"])
        last = figures.groupby(["sweep", "run", "variant"])["step"].transform("max")
        figures = figures[figures["step"] == last]
        same = ["sweep", "run", "variant", "split", "metric", "protocol"]
        return figures.drop_duplicates(same, keep="last").reset_index(drop=True)


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
    held, runs = [], []
    for name in names:
        if name not in known:
            raise UnknownName("sweep", name, known)
        sweep, expected = _read_sweep(results / name)
        held.append(sweep)
        runs.extend(expected)
    frame = _frame(runs, RUNS)
    return Records(
        results=results,
        sweeps=tuple(held),
        runs=frame,
        figures=_collect(frame, "evaluation.jsonl", FIGURES),
        timings=_collect(frame, "timings.jsonl", TIMINGS),
    )


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dictionaries, column name -> value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        BenchError: If it cannot be read; names the file.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BenchError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise BenchError(f"cannot read {path}: a JSON object is wanted")
    return content


def _read_sweep(folder: Path) -> tuple[Sweep, list[dict[str, object]]]:
    """Return a sweep and its expected runs, references last."""
    path = folder / "sweep.json"
    content = read_object(path)
    try:
        sweep = Sweep(folder.name, content["title"], content["spec"], content["command"])
        entries = [
            {axis: entry[key] for axis, key in _RUN_KEYS.items()} for entry in content["runs"]
        ] + [
            {
                "run": entry["id"],
                "variant": REAL,
                "model": REAL,
                "data": entry["data"],
                "seed": None,
            }
            for entry in content.get("references", [])
        ]
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{path} is not the plan of a sweep ({error} is missing or of the wrong kind); "
            "run the sweep again to write it anew"
        ) from error
    return sweep, [
        {"sweep": sweep.name, **entry, **_read_state(folder / str(entry["run"]), sweep.command)}
        for entry in entries
    ]


_RUN_KEYS = {"run": "id", "variant": "variant", "model": "model", "data": "data", "seed": "seed"}


def _read_state(folder: Path, command: str) -> dict[str, object]:
    """Return what the folder of a run tells besides its rows."""
    state: State = "missing"
    failure = ""
    config: Mapping[str, Any] = {}
    if folder.exists():
        state = "unfinished"
        if (folder / "config.json").exists():
            config = read_object(folder / "config.json").get("config", {})
        if (folder / "failed").exists():
            state = "failed"
            command += "" if RETRY in command else f" {RETRY}"
            lines = (folder / "failed").read_text(errors="replace").strip().splitlines()
            failure = lines[-1].strip() if lines else "no traceback was recorded"
        elif (folder / "done").exists():
            state = "done"
    return {
        "state": state,
        "iterations": config.get("iterations"),
        "batch_size": config.get("batch_size"),
        "failure": failure,
        "path": str(folder),
        "command": command,
    }


def _collect(runs: pd.DataFrame, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of one file of every run, each with the axes of its run."""
    rows = []
    for run in plain(runs):
        axes = {axis: run[axis] for axis in AXES}
        path = Path(run["path"]) / name
        for number, row in enumerate(read_rows(path), start=1):
            if not isinstance(row.get("metric"), str) or not _is_value(row.get("value", "")):
                raise BenchError(
                    f"{path}:{number}: a row needs a metric, and a value that is a number or null; "
                    f"got {row}"
                )
            rows.append({"step": 0, "split": "", "protocol": "", "reason": ""} | row | axes)
    return _frame(rows, columns)


def _is_value(value: object) -> bool:
    """Return whether a value may stand in a row."""
    return value is None or isinstance(value, int | float)


def _frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return rows as a frame of exactly these columns and types."""
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in columns.items()}
    )
