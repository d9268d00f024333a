"""Run a sweep: check all of it, do what is missing, and count how it ended.

All state is in the folders of the runs, so the same command continues after anything.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.console import say
from bench.errors import BenchError, DataMissing, SpecError, machine_trouble
from bench.evaluation.controls import control_id
from bench.execution.code_change import check_code, copy_equal_run
from bench.execution.display import shown
from bench.execution.executors.base import Executor
from bench.execution.scheduler import schedule
from bench.execution.source_files import sources_of
from bench.execution.task import ControlTask, RunTask, Task
from bench.process.worker import Worker
from bench.record.files import write_json
from bench.record.lock import Busy
from bench.record.run_folder import remove_partial
from bench.spec.reserved_names import REAL
from bench.spec.run_config import RunConfig, canonical_json
from bench.spec.sweep_file import Sweep


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
        kept: Runs that were done before.
        finished: Runs that were finished, by this process or another.
        controls: Controls that were measured by this process.
        failed: Folders of failed runs and controls, each with the reason in a line.
    """

    kept: int
    finished: int
    controls: int
    failed: Mapping[Path, str]


def run_sweep(sweep: Sweep, results: Path, worker: Worker, executor: Executor) -> SweepOutcome:
    """Do what is missing of a sweep; one failed run does not stop the others.

    Any number of processes may do this at once: each takes the runs that no other one is at work
    on, and ends when all are done. The executor is closed at the end.

    Raises:
        BenchError: If something is missing for it, before anything starts.
        Interrupted: If someone asked to stop.
    """
    folder = results / sweep.name
    started = _refuse_unwritable(folder)
    remove_partial(folder)
    tasks = tasks_of(sweep, folder)
    for task in tasks:
        sources_of(task.config)  # before anyone edits them
    kept = _count_done(tasks)
    check_code(tasks, worker.options)
    for task in tasks:
        if task.is_run:
            copy_equal_run(results, task, worker.options)
        if worker.options.retry_failed:
            _reopen_failed(task, started)
    todo = [task for task in tasks if task.state() not in ("done", "failed")]
    _load_data(todo, worker)
    write_json(folder / "sweep.json", _description(sweep, worker.command))
    reasons: dict[Task, str] = {t: t.failure for t in tasks if t.state() == "failed"}
    with shown(sweep.name, tasks):
        for ended, outcome, reason in schedule(todo, executor):
            say(f"{outcome:<8}  {ended.label}: {ended.path}")
            if outcome == "failed":
                reasons[ended] = reason or ended.failure
                say(f"          {reasons[ended]}")
    return SweepOutcome(
        kept=kept,
        finished=_count_done(tasks) - kept,
        controls=sum(not task.is_run and task not in reasons for task in todo),
        failed={task.path: reason for task, reason in reasons.items()},
    )


def tasks_of(sweep: Sweep, folder: Path) -> list[RunTask]:
    """Return the tasks of a sweep: controls first, since they train the classifiers."""
    controls = [
        ControlTask(folder / id_, f"{name} {config.training.data['name']}", config, name)
        for id_, (name, config) in _controls(sweep).items()
    ]
    runs = [
        RunTask(
            folder / run.config.id,
            f"[{number}/{len(sweep.runs)}] {run.variant}, seed {run.config.training.seed}",
            run.config,
        )
        for number, run in enumerate(sweep.runs, start=1)
    ]
    return [*controls, *runs]


def _count_done(tasks: Iterable[RunTask]) -> int:
    return sum(task.is_run and task.state() == "done" for task in tasks)


def _refuse_unwritable(folder: Path) -> float:
    """Refuse a folder that cannot be written; return the time by the clock of its disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"a full disk takes a file, but nothing in it")
            probe.flush()
            return os.fstat(probe.fileno()).st_mtime
    except OSError as error:
        what = machine_trouble(error) or error.strerror
        raise BenchError(f"cannot write results to {folder}: {what}") from error


def _reopen_failed(task: RunTask, started: float) -> None:
    """Take back a failure from before this command.

    Another command may be at work on the run, or may have just tried it again: that failure stands.
    """
    if task.state() != "failed":
        return
    try:
        with suppress(Busy), task.folder.locked():
            mark = task.path / "failed"
            if not mark.exists() or mark.stat().st_mtime < started:
                task.folder.reopen()
    except OSError as error:
        say(f"  {task.label} cannot be tried again: {machine_trouble(error) or error}")


def _load_data(tasks: Sequence[RunTask], worker: Worker) -> None:
    """Load every data set before the first task starts, and name all that are missing at once."""
    problems = {}
    for task in tasks:
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
    """Return the controls of a sweep by their ids, the real images first."""
    controls: dict[str, tuple[str, RunConfig]] = {}
    for run in sweep.runs:
        evaluation, data = run.config.evaluation, run.config.training.data
        for name in evaluation.controls if evaluation.metrics else []:
            id_ = control_id(name, data, evaluation.samples_per_class)
            controls.setdefault(id_, (name, run.config))
    return dict(sorted(controls.items(), key=lambda item: item[1][0] != REAL))


def _description(sweep: Sweep, command: str) -> dict[str, Any]:
    """Return the content of `sweep.json`."""
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
                "id": id_,
                "control": name,
                "data": config.training.data["name"],
                "evaluation": config.evaluation_id,
            }
            for id_, (name, config) in _controls(sweep).items()
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
