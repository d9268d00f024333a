"""Run a sweep: check everything, do what is missing, then write the mirrors.

The driver holds no state of its own. What is done is what the folders say is done, so the same
command continues after anything.
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.config import RunConfig, canonical_json
from bench.errors import BenchError, DataMissing, SpecError
from bench.execution.job import RunFolder, write_json
from bench.execution.plan import states
from bench.execution.work import Outcome, Workplace, reference_id, reference_one, run_one
from bench.sweep import Run, Sweep
from bench.tracking.console import say


@dataclass
class Tally:
    """How a sweep ended.

    Attributes:
        outcomes: Outcome -> number of runs.
        failed: Folders of the failed runs.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    failed: list[Path] = field(default_factory=list)

    @property
    def nothing_done(self) -> bool:
        """Whether every run was there already."""
        return set(self.outcomes) <= {"kept"}


def run_sweep(sweep: Sweep, results: Path, workplace: Workplace) -> Tally:
    """Do what is missing of a sweep.

    Args:
        sweep: The checked sweep.
        results: Root of all results.
        workplace: Device, caches, signals.

    Returns:
        How it went; one failed run does not stop the others.

    Raises:
        BenchError: If something is missing for it, before anything starts.
        Interrupted: If someone asked to stop.
    """
    folder = results / sweep.name
    _refuse_unwritable(folder)
    todo = [run for run, _, state in states(sweep, results) if state != "done"]
    _load_data(todo, workplace)
    write_json(folder / "sweep.json", _description(sweep))
    tally = Tally()
    for number, run in enumerate(sweep.runs, start=1):
        path = folder / run.config.id
        label = f"[{number}/{len(sweep.runs)}] {run.variant}, seed {run.config.training.seed}"
        _adopt(results, path)
        if RunFolder(path).state(run.config.evaluation_id) != "done":
            say(f"{label}: {path}")
        outcome = run_one(run.config, path, label, workplace)
        tally.outcomes[outcome] += 1
        if outcome == "failed":
            tally.failed.append(path)
    for config in _references(sweep):
        path = folder / reference_id(config)
        outcome = reference_one(config, path, workplace)
        if outcome == "failed":
            tally.outcomes[outcome] += 1
            tally.failed.append(path)
    return tally


def _refuse_unwritable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BenchError(f"cannot write results to {folder}: {error.strerror}") from error


def _load_data(todo: Iterable[Run], workplace: Workplace) -> None:
    """Load every data set before the first run starts, and name all that are missing at once."""
    problems = {}
    for run in todo:
        training = run.config.training
        key = canonical_json(training.data)
        if key in problems:
            continue
        try:
            size = len(workplace.context(run.config).data.train)
        except DataMissing as error:
            problems[key] = str(error)
            continue
        if training.batch_size > size:
            raise SpecError(
                f"{training.batch_size} is more than the {size} training examples of "
                f"{training.data['name']} (variant {run.variant!r})",
                key="batch_size",
            )
    if problems:
        raise DataMissing("\n".join(problems.values()))


def _references(sweep: Sweep) -> list[RunConfig]:
    chosen: dict[str, RunConfig] = {}
    for run in sweep.runs:
        if run.config.evaluation.metrics:
            chosen.setdefault(reference_id(run.config), run.config)
    return list(chosen.values())


def _description(sweep: Sweep) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "title": sweep.title,
        "spec": str(sweep.path),
        "command": sweep.command,
        "runs": [
            {
                "id": run.config.id,
                "variant": run.variant,
                "model": run.config.training.model["name"],
                "data": run.config.training.data["name"],
                "seed": run.config.training.seed,
            }
            for run in sweep.runs
        ],
        "references": [
            {"id": reference_id(config), "data": config.training.data["name"]}
            for config in _references(sweep)
        ],
    }


def _adopt(results: Path, path: Path) -> None:
    """Copy a run that another sweep has trained already: equal ids are equal runs."""
    if path.exists():
        return
    for other in sorted(results.glob(f"*/{path.name}")):
        if (other / "model.pt").exists() and (other / "done").exists():
            partial = path.with_name(path.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(other, partial, ignore=shutil.ignore_patterns("lock"))
            partial.replace(path)
            say(f"  copied from {other}: the same run")
            return
