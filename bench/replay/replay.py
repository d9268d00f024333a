"""Repeat a run from its record, in part or in full, and compare both.

Another processor, number of threads or version of torch changes last digits; training amplifies
them, so early losses tell most.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench.console import say
from bench.errors import BenchError, Interrupted, first_line
from bench.evaluation.measuring import measure_model
from bench.evaluation.trained_weights import load_trained, refuse_other_data
from bench.execution.code_change import code_change
from bench.execution.run_one import run_one
from bench.execution.source_files import sources_of
from bench.execution.switch_choice import recorded_switches
from bench.execution.task import RunTask
from bench.metrics.extractors.pretrained_networks import refuse_unfit
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.files import settings_text
from bench.record.jsonl import read_asked, read_entries
from bench.record.locks import Busy
from bench.record.run_folder import RunFolder, read_config
from bench.replay.comparison import (
    Deviation,
    Entry,
    ReplayReport,
    changes_since,
    compare_entries,
    compare_weights,
)
from bench.spec import run_config
from bench.spec.completion.start_from import unchanged_weights
from bench.spec.option_files import FILE_HASHES
from bench.spec.run_config import RunConfig
from bench.spec.switches import EAGER
from bench.spec.validation import KeyProblem
from bench.training.trainer import Trainer


def read_run(folder: Path, *, measured: bool = True) -> RunConfig:
    """Return the configuration of a run from its record; old ones name no metrics.

    It is completed again, so that losses are added in the order of the model's objective: the
    record is sorted by name, and sums of floats depend on the order. Files that are options of
    metrics must be those of then, unless nothing is `measured`. What is not here, such as the data,
    is no fault of the record.
    """
    path = folder / "config.json"
    if not path.exists():
        raise BenchError(f"{folder} is not the folder of a run: it has no config.json")
    document = read_config(folder)
    try:
        training = run_config.recorded_training(document["config"]).model_dump(mode="json")
        evaluation = document.get("evaluation", {})
        if not measured:
            metrics = [dict(component) for component in evaluation.get("metrics") or []]
            for component in metrics:
                component.pop(FILE_HASHES, None)
            evaluation = {**evaluation, "metrics": metrics}
        rows = {row.path.name: read_config(row.path)["sampling"] for row in _measured_rows(folder)}
        return run_config.complete_settings(training | evaluation | {"sampling": rows})
    except KeyProblem as found:
        raise BenchError(
            f"{folder} cannot be repeated here: {'; '.join(map(str, found.parts))} (paths in its "
            "config.json are from the folder where bench was started)"
        ) from found
    except (BenchError, ValueError, LookupError, TypeError, AttributeError) as error:
        problem = f"{path} does not describe a run that was trained: {first_line(error)}"
        raise BenchError(problem) from error


def verify_run(
    folder: Path, *, worker: Worker, iterations: int, measurements: bool
) -> ReplayReport:
    """Do the first iterations of a run again, and compare the losses with those on record.

    It ends where losses were recorded. With `measurements`, kept weights are measured as well.
    """
    run = read_run(folder, measured=measurements)
    losses = read_entries(folder / "rows.jsonl")
    if not losses:
        raise BenchError(f"{folder} has no losses on record to compare with")
    if measurements and not run.evaluation.metrics:
        raise BenchError(f"{folder / 'config.json'} names no metrics; leave out --measurements")
    kept = _kept_weights(run, RunFolder(folder))
    if measurements and not kept:
        raise BenchError(f"{folder} has no weights to measure; leave out --measurements")
    if measurements:
        refuse_unfit(worker.weights)
    trains = _has_start(run, required=not measurements)
    rows = _measured_rows(folder) if measurements and run.steps[-1] in kept else []
    worker, changes = _prepared(folder, run, worker, rows)
    recorded = sorted({entry["step"] for entry in losses})
    end = next((step for step in recorded if step >= iterations), recorded[-1])
    with worker.computing(worker.context(run).data.spec):
        what = f"losses of the first {end} of {run.training.iterations} iterations"
        then = [entry for entry in losses if entry["step"] <= end]
        deviations = []
        if trains:
            deviations.append(compare_entries(what, then, _first_losses(run, worker, end)))
        if measurements:
            measured = read_asked(RunFolder(folder).evaluation)
            then = [entry for entry in measured if entry["step"] in kept]
            deviations.append(compare_entries("measurements", then, _measured(run, kept, worker)))
            deviations += _compare_rows(run, folder, rows, worker)
    return ReplayReport(folder, tuple(deviations), changes)


def repeat_run(folder: Path, *, worker: Worker, into: Path) -> ReplayReport:
    """Do or continue a run again from its `config.json`, in a folder below `into`, and compare."""
    run = read_run(folder)
    label = f"rerun of {folder.name}"
    task = RunTask(into / run.id, label, run)
    if os.path.realpath(task.path) == os.path.realpath(folder):
        raise BenchError(f"{task.path} is the run itself; name another folder with --into")
    if not task.folder.model.exists():
        _has_start(run, required=True)
    if task.state() != "done":
        refuse_unfit(worker.weights)
    worker, changes = _prepared(folder, run, worker, _measured_rows(folder))
    refuse_other_data(task.path, worker.context(run).data)  # if it was done again before
    change = code_change(task)
    if change is not None and change.version:
        files = ", ".join(sorted({*change.learned, *change.measured, *change.harness}))
        raise BenchError(
            f"{task.path} was done by other code ({files} changed since); delete it, or name "
            "another folder with --into"
        )
    if (task.path / "failed").exists():
        with suppress(Busy), task.folder.locked():
            task.folder.reopen()
    outcome = run_one(run, task.path, label, worker)
    if outcome == "busy":
        raise BenchError(f"another process is at work on {task.path}")
    if outcome == "failed":
        raise BenchError(f"it failed: {task.status().reason}; its folder is {task.path}")
    say(f"{'was done again before' if outcome == 'kept' else 'done again'}, in {task.path}")
    names = {"losses": "rows.jsonl", "measurements": "evaluation.jsonl"}
    deviations = [
        compare_entries(what, read_asked(folder / name), read_asked(task.path / name))
        for what, name in names.items()
        if (folder / name).exists() and (what == "losses" or run.evaluation.metrics)
    ]
    for row in _measured_rows(folder):
        again = task.folder.sampling_row(row.path.name)
        pair = (read_entries(f.evaluation) for f in (row, again))
        deviations.append(compare_entries(_row_text(run, row), *pair))
    if (weights := RunFolder(folder).model).exists():
        if not task.folder.model.exists():
            raise BenchError(f"{task.path} has lost its weights; delete it to do the run again")
        deviations.append(compare_weights(weights, task.folder.model))
    else:
        say(f"note: {folder} has no weights any more, so none are compared")
    return ReplayReport(folder, tuple(deviations), changes)


def _has_start(run: RunConfig, *, required: bool) -> bool:
    """Return whether the weights that a run starts from are here; raise if missing but required."""
    try:
        if run.training.start_from:
            unchanged_weights(run.training.start_from)
    except BenchError as problem:
        if required:
            raise
        say(f"note: no losses are compared: {problem}")
        return False
    return True


def _prepared(
    folder: Path, run: RunConfig, worker: Worker, rows: Sequence[RunFolder]
) -> tuple[Worker, tuple[str, ...]]:
    """Return a worker with the threads and switches that the run had, and what has changed since.

    A run of another type of device is repeated in eager mode.
    """
    data = worker.context(run).data
    refuse_other_data(folder, data)
    threads = provenance.read_provenance(folder).get("threads")
    switches = recorded_switches(folder, worker.device) or EAGER
    worker = replace(
        worker,
        threads=worker.threads or threads,
        options=replace(worker.options, switches=switches),
    )
    threads = worker.threads_for(data.spec)
    now = provenance.collect(
        worker.device, worker.command, data.fingerprints, threads, sources_of(run)
    )
    return worker, changes_since(folder, now, switches, [row.path for row in rows])


def _first_losses(run: RunConfig, worker: Worker, end: int) -> list[Entry]:
    """Return the losses of the first iterations, trained now in a temporary folder."""
    reached = 0

    def count(done: int, losses: Mapping[str, float] | None) -> None:
        nonlocal reached
        reached = done

    with tempfile.TemporaryDirectory() as scratch:
        with worker.stop.deferred(), suppress(Interrupted):  # raised again if someone asked
            data, switches = worker.context(run).data, worker.options.switches or EAGER
            trainer = Trainer(run.training, data, Path(scratch), worker.device, switches=switches)
            trainer.train(
                on_iteration=count,
                stop=lambda: reached >= end or worker.stop(),
                checkpoint_seconds=float("inf"),
            )
        return read_entries(Path(scratch) / "rows.jsonl")


def _kept_weights(run: RunConfig, folder: RunFolder) -> dict[int, Path]:
    """Return the files of all weights that a run has kept, by iterations."""
    files = {step: folder.snapshot(step).model for step in run.steps[:-1]}
    files[run.steps[-1]] = folder.model
    return {step: file for step, file in files.items() if file.exists()}


def _measured_rows(folder: Path) -> list[RunFolder]:
    """Return the sampling rows that a run has on record."""
    return [row for row in RunFolder(folder).sampling_rows() if row.status().state == "done"]


def _compare_rows(
    run: RunConfig, folder: Path, rows: Sequence[RunFolder], worker: Worker
) -> Iterator[Deviation]:
    """Yield how far measurements of sampling rows are from those of now."""
    context, step = worker.context(run), run.steps[-1]
    for row in rows:
        weights = RunFolder(folder).model
        model = load_trained(run.training, context.data, weights, worker.device)
        _, entries = measure_model(run, model, context, step, run.sampling_rows[row.path.name])
        now = json.loads(json.dumps(entries))
        yield compare_entries(_row_text(run, row), read_entries(row.evaluation), now)


def _row_text(run: RunConfig, row: RunFolder) -> str:
    return f"measurements with {settings_text(run.sampling_rows[row.path.name])}"


def _measured(run: RunConfig, weights: Mapping[int, Path], worker: Worker) -> list[Entry]:
    """Return the measurements of weights, as a file would hold them."""
    context = worker.context(run)
    entries: list[Entry] = []
    for step, path in weights.items():
        model = load_trained(run.training, context.data, path, worker.device)
        entries += measure_model(run, model, context, step)[1]
    return json.loads(json.dumps(entries))  # type: ignore[no-any-return]
