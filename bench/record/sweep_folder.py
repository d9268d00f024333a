"""Sweeps and the state of their runs, read from `sweep.json` and the folders of the runs."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from bench import registry
from bench.errors import DamagedRecord
from bench.record.files import read_json
from bench.record.provenance import recorded_fingerprint
from bench.record.quantities import Quantity
from bench.record.run_folder import BEGIN_AGAIN, RunFolder, State, read_config
from bench.record.shapes import PlanFile

RETRY = "--retry-failed"
"""The option of `bench run` without which a failed run is left alone."""

REAL = "real"
"""Variant and model of the control of real test images.

Other controls are called by their own names; for each of them variant and model are the same, and
there is no seed."""

EVALUATIONS = "evaluations"
"""Folder of what `bench evaluate` keeps; no sweep can be called so."""

KindOfRun = Literal["run", "sampling_row", "control"]
KINDS_OF_RUNS: tuple[KindOfRun, ...] = get_args(KindOfRun)

FROM_PATHS = ("folder", "npz", "huggingface", "webdataset")
"""Data sets read from a path, called by the name of its folder or file."""

RunKey = tuple[str, str, str]
"""Sweep, id and variant: what tells the runs of some sweeps apart."""


@dataclass(frozen=True)
class RecordedSweep:
    """A sweep: its YAML file, the command that runs or continues it, what it measures, compares."""

    name: str
    title: str
    spec: str
    command: str
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    compare: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run that a sweep expects, whether it has begun or not.

    Attributes:
        id: Name of its folder; two variants of a sweep may share a run.
        variant: Name of the variant; for a control its name (also in `model`).
        seed: None for a control, and for images from elsewhere that have none.
        path: Its folder, which a published run lacks.
        evaluation: Id of what is to be measured; None in sweeps of older versions.
        state: As `RunFolder.status` decides, with `reason` and `is_measured`.
        sampling: Sampling options; empty where the model has none, or they are not on record.
        sampling_id: Name of the folder of a sampling row; empty for the run's own row.
        iterations: Length of the training; None, as `batch_size`, before the run began.
        data_path: Where its data were read from; empty where that is not known.
        fingerprint: That of its data; empty before they were loaded, and in old records.
        called: The name of its data in the sweep, which other data sets may have too.
    """

    sweep: str
    id: str
    variant: str
    model: str
    data: str
    seed: int | None
    path: Path
    command: str
    is_control: bool = False
    evaluation: str | None = None
    state: State = "missing"
    reason: str = ""
    is_measured: bool = False
    iterations: int | None = None
    batch_size: int | None = None
    data_path: str = ""
    fingerprint: str = ""
    called: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    sampling_id: str = ""

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> RunKey:
        """Fields that identify the run."""
        return self.sweep, self.id, self.variant

    @property
    def kind(self) -> KindOfRun:
        """Whether it is a run of its own, or what else has a row."""
        return "control" if self.is_control else "sampling_row" if self.sampling_id else "run"

    @property
    def is_trained(self) -> bool:
        """Whether it is the training of a sweep, in whatever state: not what is drawn or kept."""
        return self.kind == "run" and self.sweep != EVALUATIONS

    @property
    def trained_in(self) -> Path:
        """The folder of the run whose weights its samples are from; its own unless it is a row."""
        return self.path.parent.parent if self.sampling_id else self.path

    @property
    def title(self) -> str:
        """Its variant, or the title of a control."""
        return control_title(self.variant) if self.is_control else self.variant


def control_title(name: str) -> str:
    """Return the title of a control."""
    known = registry.registered("control")
    return known[name].summary if name in known else name


def read_sweep_file(folder: Path) -> dict[str, Any]:
    """Return the `sweep.json` of a folder."""
    try:
        return read_json(folder / "sweep.json", PlanFile)
    except DamagedRecord as problem:
        remedy = "running the sweep again writes it again"
        if folder.name == EVALUATIONS:
            remedy = "delete it, and keep the rows again with bench evaluate --name"
        raise DamagedRecord(f"{problem}; {remedy}") from problem


def read_plan(folder: Path) -> tuple[RecordedSweep, list[RecordedRun]]:
    """Read `sweep.json` in `results/<sweep>`: the sweep, and its runs as if none had begun."""
    content = read_sweep_file(folder)
    sweep = RecordedSweep(
        folder.name,
        content["title"],
        content["spec"],
        content["command"],
        {name: Quantity.of(fields) for name, fields in content.get("quantities", {}).items()},
        content.get("compare"),
    )
    controls = [
        {"variant": entry["control"], "model": entry["control"], "seed": None, **entry}
        for entry in content.get("controls", [])
    ]
    runs = [
        RecordedRun(
            sweep=sweep.name,
            command=entry.get("command") or sweep.command,
            path=_path_of(folder / entry["id"], entry.get("row")),
            **{name: entry[name] for name in ("id", "variant", "model", "data", "seed")},
            is_control=is_control,
            evaluation=entry.get("evaluation"),
            data_path=entry.get("path") or "",
            called=entry["data"],
            sampling=entry.get("sampling") or {},
            sampling_id=entry.get("row") or "",
        )
        for is_control, entries in ((False, content["runs"]), (True, controls))
        for entry in entries
    ]
    return sweep, runs


def _path_of(run: Path, sampling_id: str | None) -> Path:
    return RunFolder(run).sampling_row(sampling_id).path if sampling_id else run


def read_sweep(folder: Path) -> tuple[RecordedSweep, list[RecordedRun]]:
    """Read what `read_plan` reads, with the state of each run from its folder."""
    sweep, runs = read_plan(folder)
    configs = [settings_of(run.path) for run in runs]
    paths = [_data_path(config) or run.data_path for run, config in zip(runs, configs, strict=True)]
    only = known.pop() if len(known := set(paths) - {""}) == 1 else ""
    return sweep, [
        _with_state(run, config, path or only if run.data in FROM_PATHS else path)
        for run, config, path in zip(runs, configs, paths, strict=True)
    ]


def _with_state(run: RecordedRun, config: Mapping[str, Any], data_path: str) -> RecordedRun:
    state, reason, is_measured = RunFolder(run.path).status(run.evaluation)
    command = run.command
    helps = state == "failed" and not reason.endswith(BEGIN_AGAIN)
    if helps and command.startswith("bench run ") and RETRY not in command:
        command += f" {RETRY}"
    called = name_of_path(data_path).lower() if run.data in FROM_PATHS and data_path else run.data
    return replace(
        run,
        data=called,
        called=called,
        data_path=data_path,
        fingerprint=recorded_fingerprint(run.path),
        command=command,
        state=state,
        reason=reason,
        is_measured=is_measured,
        iterations=config.get("iterations"),
        batch_size=config.get("batch_size"),
    )


def settings_of(folder: Path) -> Mapping[str, Any]:
    """Return the configuration of a run; nothing where there is none.

    Nothing also for a damaged file: of a finished run it makes a failed one, otherwise it is
    written again.
    """
    with suppress(DamagedRecord):
        settings: Mapping[str, Any] = read_config(folder)["config"]
        return settings
    return {}


def _data_path(config: Mapping[str, Any]) -> str:
    return (config.get("data") or {}).get("path") or ""


def name_of_path(path: str) -> str:
    """Return what data are called that are read from a path: a folder, a file, or shards of one.

    >>> name_of_path("sets/faces/images"), name_of_path("faces.npz")
    ('faces', 'faces')
    >>> name_of_path("faces-{000..012}.tar"), name_of_path("faces/train-000000.tar")
    ('faces', 'faces')
    """
    stem = path.partition("{")[0]
    parts = {"images"}
    if stem != path or path.endswith(".tar"):
        stem = re.sub(r"[\W\d_]*$", "", stem.removesuffix(".tar"))
        parts.add("train")
    place = Path(stem)
    return (place.parent if place.name in parts and place.parent.name else place).stem
