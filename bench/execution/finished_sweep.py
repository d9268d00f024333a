"""Recognize a finished sweep in which nothing has changed, without loading torch or its data.

Whether anything has changed is all that is decided here; what a change means, the whole check says.
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import BenchError
from bench.record.files import read_json, write_json
from bench.record.run_folder import LOCK, read_config
from bench.record.shapes import FinishedFile
from bench.record.sweep_folder import RecordedRun, read_plan
from bench.spec.completion.schedule_functions import schedule_functions
from bench.spec.run_config import RunConfig, digest, recorded_training
from bench.spec.run_settings import Evaluation
from bench.spec.sweep_file import PlannedRun, Sweep, SweepFile, read_spec

FINISHED = "finished.json"

CODE = {"bench", "models", "baselines"}
"""Packages whose code decides what is run; those of registered classes are added."""


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep file with overrides, whose runs were all done when it was marked as finished.

    Attributes:
        spec: The sweep file.
        overrides: What the command line changes in it.
        folder: Where its results are.
        mirrors: What decides which mirrors are written.
    """

    spec: Path
    overrides: Sequence[str]
    folder: Path
    mirrors: Sequence[object] = ()

    @classmethod
    def of(
        cls, spec: Path, overrides: Sequence[str], results: Path, mirrors: Sequence[object] = ()
    ) -> "FinishedSweep":
        """Return the sweep of a file; a `SpecError` if its top level is not in order."""
        _, head, errors = read_spec(spec, overrides, SweepFile)
        if errors:
            raise errors[0]
        return cls(spec, overrides, results / head.name, mirrors)

    def mark(self) -> None:
        """Mark the sweep as finished, as it is now."""
        write_json(self.folder / FINISHED, {"stamp": self._stamp()})

    def is_unchanged(self) -> bool:
        """Return whether file, code, results, and files that are options are as when marked."""
        try:
            marked = read_json(self.folder / FINISHED, FinishedFile)
            return bool(marked["stamp"] == self._stamp())
        except (BenchError, OSError, LookupError):
            return False

    def plan(self) -> Sweep:
        """Return the sweep as its results describe it."""
        recorded, runs = read_plan(self.folder)
        planned = []
        for run in runs:
            if not (run.is_control or run.sampling_id):
                content = read_config(run.path)
                rows = (row for row in runs if row.sampling_id and row.id == run.id)
                prefix = f"{run.variant}, "
                sampling = {row.variant.removeprefix(prefix): dict(row.sampling) for row in rows}
                evaluation = Evaluation(**content["evaluation"], sampling=sampling)
                config = RunConfig(recorded_training(content["config"]), evaluation)
                planned.append(PlannedRun(run.variant, config))
        return Sweep(recorded.name, recorded.title, self.spec, tuple(planned))

    def _stamp(self) -> str:
        """Return a hash of all that decides what a run of this sweep would find to do."""
        _, runs = read_plan(self.folder)
        configs = [read_config(run.path) for run in runs]
        files = {self.folder, *(run.path for run in runs)}
        options = {path for config in configs for path in _paths(config)}
        return digest(
            {
                "spec": [str(self.spec), self.spec.read_text(encoding="utf-8"), *self.overrides],
                "mirrors": [str(each) for each in self.mirrors],
                "code": sorted(_code(runs, configs)),
                "results": sorted(state for path in files for state in _states(path.iterdir())),
                "options": sorted(
                    state
                    for path in options
                    for state in _states(path.rglob("*") if path.is_dir() else [path])
                ),
            }
        )


def _code(runs: Iterable[RecordedRun], configs: Iterable[Any]) -> Iterator[str]:
    """Yield the name and the hash of each source file of the packages that some runs need."""
    targets = {f"{name}." for name in CODE}
    targets |= {target for config in configs for target in schedule_functions(config)}
    for config in configs:
        settings, measured = config["config"], config.get("evaluation", {})
        named: dict[registry.Kind, list[Any]] = {
            "model": [settings.get("model")],
            "dataset": [settings["data"], settings.get("unlabeled")],
            "metric": measured.get("metrics", []),
        }
        for kind, components in named.items():
            known = registry.registered(kind)
            targets |= {known[component["name"]].target for component in components if component}
    controls = registry.registered("control")
    targets |= {controls[run.variant].target for run in runs if run.is_control}
    for top in {target.partition(":")[0].partition(".")[0] for target in targets}:
        spec = importlib.util.find_spec(top)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        files = [path for folder in folders for path in Path(folder).rglob("*.py")]
        for path in files or [Path(str(spec and spec.origin))]:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield f"{path} {hashlib.sha256(text.encode()).hexdigest()}"


def _paths(value: Any) -> Iterator[Path]:
    """Yield what is there under a name that settings hold: data, weights, a run to start from."""
    if isinstance(value, str):
        path = os.path.expanduser(value)
        if value and os.path.exists(path):
            yield Path(path)
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _paths(inner)


def _states(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the name, size and time of each file, but of marks and locks."""
    for path in paths:
        if path.is_file() and path.name != FINISHED and not path.name.startswith(LOCK):
            state = os.stat(path)
            yield f"{path} {state.st_size} {state.st_mtime_ns}"
