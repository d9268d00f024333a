"""Run a sweep: check it, do what is missing, count how it ended. All state is in run folders."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from bench import registry
from bench.console import say
from bench.data.base import DataSet, data_root
from bench.data.summary import data_notices
from bench.errors import DamagedRecord, DataMissing, SpecError, describe_system_error
from bench.evaluation.controls import control_id
from bench.execution.code_change import check_code, copy_equal_run
from bench.execution.data_change import KnownData, check_data, data_here
from bench.execution.display import shown
from bench.execution.executors.base import Executor
from bench.execution.scheduler import schedule
from bench.execution.source_files import sources_of
from bench.execution.sweep_owner import refuse_other_sweep
from bench.execution.task import ControlTask, RunTask, Task
from bench.metrics.extractors.pretrained_networks import refuse_unfit
from bench.process.worker import Worker
from bench.record.evaluation_rows import all_metrics
from bench.record.files import refuse_unwritable, write_json
from bench.record.locks import Busy
from bench.record.run_folder import remove_partial
from bench.record.sweep_folder import read_plan
from bench.spec.comparisons import Comparisons
from bench.spec.reserved_names import REAL
from bench.spec.run_config import RunConfig, canonical_json
from bench.spec.sweep_file import PlannedRun, Sweep, row_name


@dataclass(frozen=True)
class SweepOutcome:
    """The outcome of a sweep."""

    kept: int  # runs that were done before, and still are
    finished: int  # runs
    controls: int  # controls that were measured
    failed: Mapping[Path, str]  # folders of failed runs and controls, with the reason in a line


def run_sweep(sweep: Sweep, results: Path, worker: Worker, executor: Executor) -> SweepOutcome:
    """Do what is missing of a sweep, and close the executor; a failed run does not stop others.

    Any number of processes may do this at once: each takes runs that no other one works on, and
    ends when all are done. A `BenchError` says what is wrong before anything starts.
    """
    folder = results / sweep.name
    refuse_other_sweep(sweep, folder)
    started = refuse_unwritable(folder)
    remove_partial(folder)
    tasks = tasks_of(sweep, folder)
    for task in tasks:
        sources_of(task.config)  # before anyone edits them
    kept = {task for task in tasks if task.state() == "done"}
    data = check_tasks(tasks, worker)
    for task in tasks:
        if task.is_run:
            copy_equal_run(results, task, worker.options, data)
        if worker.options.retry_failed:
            _reopen_failed(task, started)
    todo = [task for task in tasks if task.state() not in ("done", "failed")]
    if todo:
        _load_data(todo, worker)
        check_data(tasks, worker)  # again, since some may have been downloaded
    if kept:
        _tell_new_plan(sweep, folder)
    write_json(folder / "sweep.json", _description(sweep, tasks, worker.command))
    troubles: dict[Task, str] = {}
    with shown(sweep.name, tasks):
        for number, (ended, outcome, reason) in enumerate(schedule(todo, executor), start=1):
            say(f"{outcome:<8}  [{number}/{len(todo)}] {ended.label}: {ended.path}")
            if outcome == "failed":
                troubles[ended] = reason
                say(f"          {reason or ended.status().reason}")
    return _outcome(tasks, kept, troubles)


def check_tasks(tasks: Sequence[RunTask], worker: Worker) -> KnownData:
    """Raise a `BenchError` if some tasks cannot go on from what is here; return the known data.

    Nothing is written and nothing is downloaded, so a dry run refuses the same.
    """
    check_code(tasks, worker.options)
    known = check_data(tasks, worker)
    if any(task.state() != "done" for task in tasks):
        refuse_unfit(worker.weights)
    return known


def check_sizes(tasks: Iterable[RunTask], worker: Worker) -> None:
    """Raise a `SpecError` if the training examples of a run make no batch, if they are here."""
    for task in tasks:
        if data := data_here(task.config.training.data, worker):
            _refuse_few_examples(task, data)


def tasks_of(sweep: Sweep, folder: Path) -> list[RunTask]:
    """Return the tasks of a sweep: the controls first, since they train the classifiers.

    Runs go seed by seed, so that a sweep that is cut short has whole seeds, which can be compared.
    """
    controls: dict[str, ControlTask] = {}
    runs = []
    seeds = list(dict.fromkeys(run.config.training.seed for run in sweep.runs))
    for run in sweep.runs:
        config, data = run.config, run.config.training.data
        label = f"{run.variant}, seed {config.training.seed}"
        priority = seeds.index(config.training.seed)
        runs.append(RunTask(folder / config.id, label, config, priority=priority))
        for name in config.evaluation.controls if config.evaluation.metrics else []:
            id_ = control_id(name, data, config.evaluation.samples_per_class)
            known = controls[id_].config if id_ in controls else config
            label = f"{name} {data['name']}"
            controls[id_] = ControlTask(folder / id_, label, _measuring_both(known, config), name)
    runs.sort(key=lambda task: task.priority)
    return [*sorted(controls.values(), key=lambda task: task.control != REAL), *runs]


def _measuring_both(known: RunConfig, other: RunConfig) -> RunConfig:
    """Return a configuration with the metrics and splits of another one, too, for a control."""
    asked = (known.evaluation, other.evaluation)
    metrics, splits = all_metrics(*(e.metrics for e in asked)), [e.splits for e in asked]
    both = {"metrics": metrics, "splits": list(dict.fromkeys(chain(*splits)))}
    if all(getattr(known.evaluation, name) == value for name, value in both.items()):
        return known
    return replace(known, evaluation=known.evaluation.model_copy(update=both))


def _outcome(
    tasks: Iterable[RunTask], kept: Set[RunTask], troubles: Mapping[Task, str]
) -> SweepOutcome:
    """Count how a sweep ended; `troubles` are reasons that could not be written in folders."""
    done: set[RunTask] = set()
    failed = {}
    for task in tasks:
        status = task.status()
        if status.state == "done":
            done.add(task)
        elif status.state == "failed" or task in troubles:
            failed[task.path] = status.reason or troubles[task]
    finished = done - kept
    runs = sum(task.is_run for task in finished)
    still = sum(task.is_run for task in done & kept)
    return SweepOutcome(still, runs, len(finished) - runs, failed)


def _reopen_failed(task: RunTask, started: float) -> None:
    """Take back a failure from before this command; one of another command under way stays."""
    id_ = task.config.evaluation_id
    failed = [folder for folder in task.folders if folder.status(id_).state == "failed"]
    if not failed:
        return
    try:
        with suppress(Busy), task.folder.locked():
            for folder in failed:
                mark = folder.path / "failed"
                if not mark.exists() or mark.stat().st_mtime < started:
                    folder.reopen()
    except OSError as error:
        say(f"  {task.label} cannot be tried again: {describe_system_error(error) or error}")


def _load_data(tasks: Sequence[RunTask], worker: Worker) -> None:
    """Load every data set before the first task starts, and name all that are missing at once."""
    problems: dict[str, str] = {}
    told: set[str] = set()
    if data_root().exists() and not os.access(data_root(), os.W_OK):
        say(
            f"note: {data_root()} cannot be written to; runs end after their training if their "
            "metrics need a classifier that is not there yet (BENCH_DATA names another folder)"
        )
    for task in tasks:
        training = task.config.training
        key = canonical_json([training.data, training.unlabeled])
        if key in problems:  # trying again may take as long, as a download without network does
            continue
        try:
            data = worker.context(task.config).data
        except DataMissing as error:
            problems[key] = str(error)
            continue
        if key not in told:
            told.add(key)
            for line in data_notices(data, task.config.evaluation.samples_per_class):
                say(f"note: {line}")
        _refuse_few_examples(task, data)
    if problems:
        raise DataMissing("\n".join(dict.fromkeys(problems.values())))


def _refuse_few_examples(task: RunTask, data: DataSet) -> None:
    """Raise a `SpecError` if the training examples of a run make no batch."""
    training, size = task.config.training, len(data.train)
    if not task.is_run or training.labeled_fraction < 1 or training.labeled_rows <= size:
        return
    key = "batch_size" if training.labeled_rows == training.batch_size else "labeled_rows"
    others = f"{len(data.validation)} more are for validation, {len(data.test)} for tests"
    raise SpecError(
        f"{training.labeled_rows} is more than the {size} training examples of "
        f"{training.data['name']} ({others}); set {key} to at most {size} ({task.label})",
        key=key,
    )


def _description(sweep: Sweep, tasks: Iterable[RunTask], command: str) -> dict[str, Any]:
    """Return the content of `sweep.json`, with quantities for reports, which import no metric."""
    names = {m["name"]: None for run in sweep.runs for m in run.config.evaluation.metrics}
    quantities = {
        name: asdict(quantity)
        for metric in names
        for name, quantity in registry.load("metric", metric).quantities.items()
    }
    return {
        "sweep": sweep.name,
        "title": sweep.title,
        "spec": str(sweep.path),
        "command": command,
        "quantities": quantities,
        **({"compare": sweep.compare.model_dump()} if sweep.compare else {}),
        "runs": run_entries(sweep),
        "controls": [
            {
                "id": task.path.name,
                "control": task.control,
                "data": task.config.training.data["name"],
                "evaluation": task.config.evaluation_id,
                **_path_of(task.config.training.data),
            }
            for task in tasks
            if isinstance(task, ControlTask)
        ],
    }


def _tell_new_plan(sweep: Sweep, folder: Path) -> None:
    """Say that comparisons are not those that were planned before there were results."""
    with suppress(FileNotFoundError, DamagedRecord):  # which is written again
        before = read_plan(folder)[0].compare
        if (None if before is None else Comparisons.of_record(before)) != sweep.compare:
            say(
                "note: `compare:` changed after runs finished, so these comparisons were not "
                "planned in advance"
            )


def run_entries(sweep: Sweep) -> list[dict[str, Any]]:
    """Return the entries of the runs of a sweep in `sweep.json`, as they are read from it."""
    entries = [entry for run in sweep.runs for entry in _entries_of(run)]
    return json.loads(json.dumps(entries))  # type: ignore[no-any-return]  # with lists for tuples


def _entries_of(run: PlannedRun) -> Iterator[dict[str, Any]]:
    """Yield the entries of a run and of its sampling rows in `sweep.json`."""
    training, evaluation = run.config.training, run.config.evaluation
    entry = {
        "id": run.config.id,
        "variant": run.variant,
        "model": training.model["name"],
        "data": training.data["name"],
        "seed": training.seed,
        "evaluation": run.config.evaluation_id,
        **_path_of(training.data),
        **({"sampling": run.config.default_sampling} if run.config.default_sampling else {}),
    }
    yield entry
    for (name, options), id_ in zip(
        evaluation.sampling.items(), run.config.sampling_rows, strict=True
    ):
        variant = row_name(run.variant, name)
        yield entry | {"variant": variant, "sampling": options, "row": id_}


def _path_of(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": data["path"]} if "path" in data else {}
