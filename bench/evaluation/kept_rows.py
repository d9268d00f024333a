"""Figures of what is there already, printed, or kept as rows for reports.

Rows that are kept form a sweep of their own, `results/evaluations`, which reports read like any
other. Its runs were not trained here, or not for it, so they are named by what they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import BenchError, SpecError
from bench.evaluation.controls import Real, control_config, control_id
from bench.evaluation.measuring import measure, save_shown
from bench.evaluation.targets import Target
from bench.metrics.base import SampleSet
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.files import write_json
from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.run_folder import RunFolder
from bench.record.sweep_folder import read_sweep_file
from bench.spec.reserved_names import EVALUATIONS, REAL
from bench.spec.run_config import canonical_json, digest
from bench.trackers.mirror import write_mirrors

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """Figures of a target.

    Attributes:
        target: What was measured.
        rows: Its figures.
        real: The real test images beside it.
        real_rows: Their figures.
    """

    target: Target
    rows: list[Row]
    real: SampleSet
    real_rows: list[Row]

    @property
    def summary(self) -> dict[str, Any]:
        """All that is printed, as plain data."""
        target = self.target
        return {
            "target": str(target.path),
            "data": target.samples.spec.name,
            "classes": target.samples.spec.classes,
            "per_class": target.samples.per_class,
            "origin": target.origin,
            "figures": self.rows,
            "real": self.real_rows,
        }


def measure_target(target: Target, worker: Worker) -> Measured:
    """Measure samples, and the real test images beside them.

    Args:
        target: The samples.
        worker: Threads.

    Returns:
        The figures of both.
    """
    data, metrics = target.context.data, target.wanted.metrics
    real = Real().samples(data, target.per_class)
    with worker.computing(data.spec):
        rows = measure(metrics, target.samples, target.context, step=target.step, split="samples")
        context = replace(target.context, model=None)
        beside = measure(metrics, real, context, step=0, split=REAL)
    return Measured(target, rows, real, beside)


def add_to_run(measured: Measured) -> Path:
    """Add figures to the record of a run; those of the same protocol are replaced.

    Args:
        measured: The figures.

    Returns:
        The file.
    """
    measured.target.check_recordable()
    folder = RunFolder(measured.target.path)
    with folder.locked():
        rows = _merged(read_jsonl(folder.evaluation), measured.rows)
        write_jsonl(folder.evaluation, rows)
    return folder.evaluation


def keep(measured: Measured, name: str, results: Path, worker: Worker) -> str:
    """Keep figures as a row, with that of the real images, for reports.

    A row of the same name, data set and seed is replaced.

    Args:
        measured: The figures.
        name: Name of the row.
        results: Root of all results.
        worker: For provenance.

    Returns:
        What was done, for people.

    Raises:
        BenchError: If the name belongs to something else.
    """
    target, root = measured.target, results / EVALUATIONS
    key = {"name": name, "data": target.data, "seed": target.seed}
    entry = {
        "id": f"set-{digest(key)}",
        "variant": name,
        "model": target.model,
        "data": target.data["name"],
        "seed": target.seed,
    }
    place = control_id(REAL, target.data, target.per_class)
    real = {"id": place, "control": REAL, "data": target.data["name"]}
    with RunFolder(root).locked():
        plan = _plan(root, name, target.model)
        config = {
            **({} if target.training is None else target.training.model_dump(mode="json")),
            "data": target.data,
            "evaluated": target.origin,
            "metrics": list(target.wanted.components),
            "samples_per_class": target.samples.per_class,
        }
        is_new = entry["id"] not in [run["id"] for run in plan["runs"]]
        _fill(root / str(entry["id"]), config, measured.rows, target.samples, target, worker)
        config = control_config(REAL, target.data, target.per_class)
        path = root / place
        rows = _merged(read_jsonl(path / "evaluation.jsonl"), measured.real_rows)
        _fill(path, config, rows, measured.real, target, worker)
        plan["runs"] = _with(plan["runs"], entry)
        plan["controls"] = _with(plan["controls"], real)
        write_json(root / "sweep.json", plan | {"command": worker.command})
        write_mirrors(root, to_mlflow=False)
    seed = "" if target.seed is None else f", seed {target.seed}"
    return f"{'kept' if is_new else 'replaced'} the row {name!r}{seed} in {root}"


def check_name(target: Target, name: str, results: Path) -> None:
    """Refuse a name that a row cannot have, before anything is measured.

    Args:
        target: What is to be kept.
        name: What the user called it.
        results: Root of all results.

    Raises:
        SpecError: If it is empty, or that of a control.
        BenchError: If it belongs to something else.
    """
    if not name.strip() or name in registry.registered("control"):
        raise SpecError(f"a row cannot be called {name!r}", where="--name")
    _plan(results / EVALUATIONS, name, target.model)


def _plan(root: Path, name: str, model: str) -> dict[str, Any]:
    """Return what is kept so far."""
    path = root / "sweep.json"
    plan: dict[str, Any] = {
        "sweep": EVALUATIONS,
        "title": "What bench evaluate measured",
        "spec": "",
        "runs": [],
        "controls": [],
    }
    if path.exists():
        plan = read_sweep_file(root)
    for run in plan["runs"]:
        if run["variant"] == name and run["model"] != model:
            raise BenchError(
                f"the row {name!r} in {root} holds samples of {run['model']}, these are of "
                f"{model}; choose another --name"
            )
    return plan


def _fill(
    path: Path,
    config: Mapping[str, Any],
    rows: Sequence[Row],
    samples: SampleSet,
    target: Target,
    worker: Worker,
) -> None:
    """Write the folder of one row; it counts once `done` is there."""
    folder = RunFolder(path)
    folder.reopen()
    write_json(path / "config.json", {"id": path.name, "config": config})
    data = target.context.data
    threads = worker.threads_for(data.spec)
    origin = provenance.collect(worker.device, worker.command, data.fingerprint, threads)
    write_json(path / "provenance.json", origin)
    write_jsonl(path / "evaluation.jsonl", rows)
    save_shown(samples, data, path)
    folder.finish(digest({"metrics": config.get("metrics", [])}))


def _merged(old: Iterable[Row], new: Sequence[Row]) -> list[Row]:
    """Return old rows with new ones in the place of those that measured the same."""

    def what(row: Row) -> str:
        return canonical_json([row[k] for k in ("step", "split", "metric", "protocol")])

    fresh = {what(row): row for row in new}
    kept = [fresh.pop(what(row), row) for row in old]
    return kept + list(fresh.values())


def _with(entries: Sequence[Row], entry: Row) -> list[Row]:
    """Return entries with one replaced or added, by its id."""
    if entry["id"] in [other["id"] for other in entries]:
        return [entry if other["id"] == entry["id"] else other for other in entries]
    return [*entries, entry]
