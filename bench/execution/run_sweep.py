"""Run a sweep: check everything, do what is missing, then write the mirrors.

The driver holds no state of its own. What is done is what the folders say is done, so the same
command continues after anything.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.console import say
from bench.errors import BenchError, DataMissing, SpecError, describe_system_error
from bench.evaluation.controls import control_id
from bench.execution.code_change import adopt, check_code
from bench.execution.display import watching
from bench.execution.dry_run import states
from bench.execution.executors.base import Executor
from bench.execution.scheduler import settle
from bench.execution.source_files import sources_of
from bench.execution.task import RunTask
from bench.process.worker import Worker
from bench.record.files import write_json
from bench.record.lock import Busy
from bench.record.run_folder import remove_partial
from bench.spec.reserved_names import REAL
from bench.spec.run_config import RunConfig, canonical_json
from bench.spec.sweep_file import Sweep


@dataclass(frozen=True)
class Tally:
    """How a sweep ended.

    Attributes:
        kept: Runs that were done before.
        finished: Runs that were brought to their end, by this process or another.
        controls: Controls that were measured by this process.
        failed: Folders of failed runs and controls, each with the reason in a line.
    """

    kept: int
    finished: int
    controls: int
    failed: Mapping[Path, str]


def run_sweep(
    sweep: Sweep,
    results: Path,
    worker: Worker,
    executor: Executor,
) -> Tally:
    """Do what is missing of a sweep.

    Any number of processes may do this at once: each takes the runs that nobody else holds, and
    ends when all are done.

    Args:
        sweep: The checked sweep.
        results: Root of all results.
        worker: Loads the data once, to check it before anything starts.
        executor: Does the runs; it is closed at the end.

    Returns:
        How it went; one failed run does not stop the others.

    Raises:
        BenchError: If something is missing for it, before anything starts.
        Interrupted: If someone asked to stop.
    """
    folder = results / sweep.name
    began = _refuse_unwritable(folder)
    remove_partial(folder)
    before = [state for _, _, state in states(sweep, results)]
    tasks = tasks_of(sweep, folder)
    for task in tasks:
        sources_of(task.config)  # before anyone edits them
    check_code(tasks, worker)
    for task in tasks:
        if not task.control:
            adopt(results, task, worker)
    if worker.retry_failed:
        for task in tasks:
            _reopen(task, began)
    todo = [task for task in tasks if task.settled() is None]
    _load_data(todo, worker)
    write_json(folder / "sweep.json", _description(sweep, worker.command))
    failed = {t.path: t.failure for t in tasks if t.settled() == "failed"}
    measured = {task.path for task in todo if task.control}
    with watching(sweep.name, tasks):
        for ended, outcome, reason in settle(todo, executor):
            say(f"{outcome:<8}  {ended.label}: {ended.path}")
            if outcome == "failed":
                failed[ended.path] = reason or ended.failure
                say(f"          {failed[ended.path]}")
    after = [state for _, _, state in states(sweep, results)]
    kept = before.count("done")
    return Tally(kept, after.count("done") - kept, len(measured - failed.keys()), failed)


def tasks_of(sweep: Sweep, folder: Path) -> list[RunTask]:
    """Return the tasks of a sweep: controls first, since they train what judges the runs."""
    runs = [
        RunTask(
            folder / run.config.id,
            f"[{number}/{len(sweep.runs)}] {run.variant}, seed {run.config.training.seed}",
            run.config,
        )
        for number, run in enumerate(sweep.runs, start=1)
    ]
    controls = [
        RunTask(folder / place, f"{name} {config.training.data['name']}", config, name)
        for place, (name, config) in _controls(sweep).items()
    ]
    return controls + runs


def _refuse_unwritable(folder: Path) -> float:
    """Return what time it is by the clock of the disk, which other processes go by too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"a full disk takes a file, but nothing in it")
            probe.flush()
            return os.fstat(probe.fileno()).st_mtime
    except OSError as error:
        what = describe_system_error(error) or error.strerror
        raise BenchError(f"cannot write results to {folder}: {what}") from error


def _reopen(task: RunTask, began: float) -> None:
    """Take back a failure from before this command.

    Another driver may be at the run, or may have tried it again just now: that failure stands.
    """
    if task.folder.status(task.config.evaluation_id).state != "failed":
        return
    try:
        with suppress(Busy), task.folder.locked():
            mark = task.path / "failed"
            if not mark.exists() or mark.stat().st_mtime < began:
                task.folder.reopen()
    except OSError as error:
        say(f"  {task.label} cannot be tried again: {describe_system_error(error) or error}")


def _load_data(todo: Iterable[RunTask], worker: Worker) -> None:
    """Load every data set before the first task starts, and name all that are missing at once."""
    problems = {}
    for task in todo:
        training = task.config.training
        key = canonical_json([training.data, training.unlabeled])
        if key in problems:
            continue
        try:
            size = len(worker.context(task.config).data.train)
        except DataMissing as error:
            problems[key] = str(error)
            continue
        if training.labeled_fraction == 1 and training.labeled_rows > size:
            raise SpecError(
                f"{training.batch_size} is more than the {size} training examples of "
                f"{training.data['name']} ({task.label})",
                key="batch_size",
            )
    if problems:
        raise DataMissing("\n".join(dict.fromkeys(problems.values())))


def _controls(sweep: Sweep) -> dict[str, tuple[str, RunConfig]]:
    """Return the controls of a sweep by their folders, the real images first."""
    chosen: dict[str, tuple[str, RunConfig]] = {}
    for run in sweep.runs:
        evaluation, data = run.config.evaluation, run.config.training.data
        for name in evaluation.controls if evaluation.metrics else []:
            place = control_id(name, data, evaluation.samples_per_class)
            chosen.setdefault(place, (name, run.config))
    return dict(sorted(chosen.items(), key=lambda item: item[1][0] != REAL))


def _description(sweep: Sweep, command: str) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "title": sweep.title,
        "spec": str(sweep.path),
        "command": command,
        "quantities": _quantities(sweep),
        "runs": [
            {
                "id": run.config.id,
                "variant": run.variant,
                "model": run.config.training.model["name"],
                "data": run.config.training.data["name"],
                "seed": run.config.training.seed,
                "evaluation": run.config.evaluation_id,
            }
            for run in sweep.runs
        ],
        "controls": [
            {
                "id": place,
                "control": name,
                "data": config.training.data["name"],
                "evaluation": config.evaluation_id,
            }
            for place, (name, config) in _controls(sweep).items()
        ],
    }


def _quantities(sweep: Sweep) -> dict[str, Any]:
    """Return what is measured, for reports, which import no metric."""
    names = {m["name"]: None for run in sweep.runs for m in run.config.evaluation.metrics}
    return {
        name: quantity.describe()
        for metric in names
        for name, quantity in registry.load("metric", metric).quantities().items()
    }
