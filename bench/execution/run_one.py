"""Bring the folder of a run or a control to its end, from wherever an interruption left it."""

import logging
import os
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from bench.console import say, warn
from bench.data.base import DataSet
from bench.errors import (
    BenchError,
    KeptAsItWas,
    NotApplicable,
    RunFailed,
    describe_error,
    describe_system_error,
)
from bench.evaluation.code_pictures import save_pictures
from bench.evaluation.controls import Control, control_config
from bench.evaluation.measuring import inapplicable, measure, measure_model, measured_splits
from bench.evaluation.sampling import remark_before_training, remark_on_range, save_samples
from bench.evaluation.trained_weights import save_weights
from bench.execution.earlier_work import (
    added_before,
    added_still,
    lacking_snapshots,
    load_own,
    trained_before,
)
from bench.execution.source_files import sources_of
from bench.execution.switch_choice import settle_switches
from bench.metrics.base import Context, SampleSet
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.files import settings_text, write_json
from bench.record.jsonl import read_entries, write_jsonl
from bench.record.locks import Busy
from bench.record.progress import ProgressFile
from bench.record.provenance import HARNESS, changed_files, note_execution, read_execution
from bench.record.run_folder import RETRAINING, RunFolder
from bench.spec.components import construct
from bench.spec.option_files import file_hash
from bench.spec.places import place_in
from bench.spec.reserved_names import REAL
from bench.spec.run_config import RunConfig
from bench.spec.switches import SwitchSet
from bench.training.checkpoint import remove_checkpoints
from bench.training.cost import images_per_iteration, write_cost
from bench.training.interface import ConditionalGenerator
from bench.training.trainer import Trainer

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_log = logging.getLogger("bench")

Entry = dict[str, Any]
Outcome = Literal["kept", "finished", "failed", "busy"]
"""The outcome of a task; `busy`: another process works on it."""


def run_one(run: RunConfig, path: Path, label: str, worker: Worker) -> Outcome:
    """Do what is left to train and measure of a run, and of its sampling rows.

    Errors of the machine (see `describe_system_error`), `DeviceLost` and `Interrupted` are raised;
    the next command continues the run.
    """
    folder = RunFolder(path)

    def fill() -> None:
        with closing(ProgressFile(path, run.training.iterations)) as progress:
            context = worker.context(run)
            with worker.computing(context.data.spec, _recorded_threads(folder)):
                model = trained_before(run, folder, context)
                added = added_before(folder)
                weights = file_hash(folder.model) if added else ""
                folder.reopen()
                _record_start(run, folder, context.data, worker)
                write_cost(run.training, context.data.spec, path)
                if model is None:
                    with worker.stop.deferred():
                        model = _trained(run, folder, label, worker, context, progress)
                    if added and file_hash(folder.model) != weights:
                        names = ", ".join(dict.fromkeys(entry["metric"] for entry in added))
                        say(f"  {label}: left out what was added of other weights: {names}")
                        added = []
                progress.measuring()
                earlier = (_snapshot_entries(run, folder, step, context) for step in run.steps[:-1])
                entries = list(chain.from_iterable(earlier))
                samples, last = measure_model(run, model, context, run.steps[-1])
                if remark := remark_on_range(samples, context.data):
                    warn(f"{label}: {remark}")
                measured = [*entries, *last]
                others = added_still(folder, added, measured)
                write_jsonl(folder.evaluation, [*measured, *others])
                save_samples(samples, path, context.data)
                _save_pictures(run, replace(context, model=model), path, samples)

    def fill_row(sampling_id: str) -> None:
        with closing(ProgressFile(path, run.training.iterations)) as progress:
            progress.measuring()
            _measure_row(run, folder, sampling_id, label, worker)

    with suppress(Busy), folder.locked(), _logging_to(path / "log.txt"):
        outcome = _filled(folder, run.evaluation_id, fill, worker)
        if outcome == "failed":
            return outcome
        fills = {folder.sampling_row(id_): partial(fill_row, id_) for id_ in run.sampling_rows}
        of_rows = [_filled(row, run.evaluation_id, fill, worker) for row, fill in fills.items()]
        return min([outcome, *of_rows], key=("failed", "finished", "kept").index)
    return "busy"


def _measure_row(
    run: RunConfig, folder: RunFolder, sampling_id: str, label: str, worker: Worker
) -> None:
    """Draw the samples of a sampling row from the weights of its run, and measure them."""
    target, sampling = folder.sampling_row(sampling_id), run.sampling_rows[sampling_id]
    if not folder.model.exists():
        raise RunFailed(
            f"{folder.path} holds no weights to draw from, as after an import without --weights; "
            "delete it to train it again"
        )
    context = worker.context(run)
    data = context.data
    config = {"id": sampling_id, "evaluation": run.measured, "config": run.canonical}
    config |= {"sampling": sampling}
    with worker.computing(data.spec, _recorded_threads(folder)):
        model = load_own(run, folder, folder.model, context)
        target.reopen()
        write_json(target.path / "config.json", config)
        _record_origin(run, target, data.fingerprints, worker, "model", "metrics")
        write_cost(run.training, data.spec, target.path, sampling)
        samples, entries = measure_model(run, model, context, run.steps[-1], sampling)
    if remark := remark_on_range(samples, data):
        warn(f"{label}, {settings_text(sampling)}: {remark}")
    write_jsonl(target.evaluation, entries)
    save_samples(samples, target.path, data)


def measure_control(name: str, run: RunConfig, path: Path, worker: Worker) -> Outcome:
    """Measure a control with the data and metrics of a run, again if it failed; see `run_one`."""
    folder = RunFolder(path)
    count = run.evaluation.samples_per_class
    control: Control = construct("control", {"name": name})

    def fill() -> None:
        context = worker.context(run)
        folder.reopen()
        config = control_config(name, run.training.data, count)
        write_json(path / "config.json", {"id": path.name, "config": config})
        _record_origin(run, folder, context.data.fingerprint, worker, "data", "metrics", "controls")
        with closing(ProgressFile(path, 0)) as progress, worker.computing(context.data.spec):
            progress.measuring()
            entries = []
            for split, split_context, metrics in measured_splits(run, context):
                where = {"test": REAL if name == REAL else "samples"}.get(split, split)
                try:
                    samples = control.samples(split_context.data, count)
                except NotApplicable as reason:
                    entries += inapplicable(metrics, reason, split=where)
                    continue
                entries += measure(metrics, samples, split_context, step=0, split=where)
                if split == run.evaluation.splits[0]:
                    save_samples(samples, path, split_context.data)
            write_jsonl(folder.evaluation, entries)

    with suppress(Busy), folder.locked(), _logging_to(path / "log.txt"):
        return _filled(folder, run.evaluation_id, fill, worker, retry=True)
    return "busy"


class _LogFile(logging.FileHandler):
    """A log that ends no run where it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (name of logging's)
        """Leave the line out."""


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Append what this thread logs to a file."""
    thread = threading.get_ident()
    handler = _LogFile(path, encoding="utf-8")
    handler.addFilter(lambda record: record.thread == thread)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    _log.setLevel(logging.INFO)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        with suppress(OSError):  # the last lines may not fit on a full disk
            handler.close()


def _filled(
    folder: RunFolder,
    evaluation_id: str,
    fill: Callable[[], None],
    worker: Worker,
    *,
    retry: bool = False,
) -> Outcome:
    """Fill a folder unless it is done, and mark it as done or failed.

    `fill` reopens it once all is there that it needs; what fails before leaves results as they are.
    """
    state = folder.status(evaluation_id).state
    if state == "done":
        return "kept"
    if state == "failed" and not retry:
        return "failed"
    try:
        _log.info("begun or continued by process %d: %s", os.getpid(), folder.path)
        fill()
        provenance.write_end(folder.path)
    except (Exception, SystemExit) as error:  # a model may call sys.exit
        _log.exception("run failed")
        if describe_system_error(error):  # so that the next command continues the run
            raise
        worker.check_device()  # likewise
        if (folder.path / "done").exists():
            problem = error if isinstance(error, BenchError) else describe_error(error)
            text = f"{problem}; {folder.path} keeps what was measured before"
            raise KeptAsItWas(text) from error
        folder.fail(_explained(error))
        return "failed"
    folder.finish(evaluation_id)
    _log.info("finished")
    return "finished"


def _explained(error: BaseException) -> str:
    """Return a traceback; its last line, the reason, names the line of a model's code."""
    text, place = traceback.format_exc(), place_in(error)
    if not place or isinstance(error, BenchError):
        return text
    return f"{text}{describe_error(error)} ({place})\n"


def _recorded_threads(folder: RunFolder) -> int | None:
    """Return the CPU threads that weights of a run were last computed with; None if not known."""
    if not folder.has_learned:
        return None
    *_, last = provenance.sessions_of(provenance.read_provenance(folder.path))
    return last.get("threads")


def _record_start(run: RunConfig, folder: RunFolder, data: DataSet, worker: Worker) -> None:
    """Write what the run is and where it comes from; reopen what is to be measured with it."""
    if folder.has_learned and (recorded := provenance.read_provenance(folder.path)):
        *_, last = provenance.sessions_of(recorded)
        changed = changed_files(last.get("sources", {}), sources_of(run))
        if any(changed.values()):
            for step in run.steps[:-1]:  # so that the same code measures all weights of a run
                folder.snapshot(step).reopen()
    # So that what is compared with this was measured with it, or later.
    for row in folder.sampling_rows():
        row.reopen()
    config = {"id": run.id, "evaluation": run.measured, "config": run.canonical}
    config |= {"sampling": run.default_sampling} if run.default_sampling else {}
    write_json(folder.path / "config.json", config)
    trains = not folder.model.exists() or lacking_snapshots(run, folder)
    parts = ("model", "data", "metrics") if trains else ("model", "metrics")  # a model draws, too
    _record_origin(run, folder, data.fingerprints, worker, *parts)


def _record_origin(
    run: RunConfig, folder: RunFolder, fingerprint: str, worker: Worker, *parts: str
) -> None:
    """Write where the run is done now, and by which code; `parts` are used beside the harness."""
    sources = sources_of(run)
    used = {part: sources[part] for part in (*parts, HARNESS)}
    threads = torch.get_num_threads()
    origin = provenance.collect(worker.device, worker.command, fingerprint, threads, used)
    provenance.write_session(folder.path, origin, forget=not folder.has_learned)


def _trained(
    run: RunConfig,
    folder: RunFolder,
    label: str,
    worker: Worker,
    context: Context,
    progress: ProgressFile,
) -> ConditionalGenerator:
    """Train the model, again if only a snapshot is lacking, and return it.

    Snapshots are measured as soon as they exist, so that a trial can be stopped by them.
    """
    data = context.data
    lacking = lacking_snapshots(run, folder)
    if folder.model.exists():
        say(f"  {label}: trained again, to keep its weights after iterations {lacking}")
    for step in run.steps[:-1]:
        if step not in lacking:
            _snapshot_entries(run, folder, step, context)

    place = folder.path  # of checkpoints and curves
    if folder.model.exists():  # its own stay until all is trained again
        place = folder.path / RETRAINING
        note_execution(place, **read_execution(folder.path))

    def start(switches: SwitchSet) -> Trainer:
        return Trainer(run.training, data, place, worker.device, run.id, switches)

    def snapshot(step: int, weights: Mapping[str, Tensor]) -> None:
        save_weights(folder.snapshot(step).model, weights)
        if not worker.stop():
            with worker.stop.interruptible():  # the training is saved as soon as this is left
                _snapshot_entries(run, folder, step, context)

    def after_iteration(done: int, losses: Mapping[str, float] | None) -> None:
        progress.update(done, losses)
        if worker.turn:
            worker.turn.pass_on()

    if remark := remark_before_training(run.training, data, worker.device):
        warn(f"{label}: {remark}")
    trainer = start(settle_switches(run, data.spec, folder.path, worker, start, label))
    progress.images = round(images_per_iteration(trainer.model, run.training))

    model = trainer.train(
        stop=worker.stop,
        checkpoint_seconds=worker.options.checkpoint_seconds,
        on_iteration=after_iteration,
        snapshots=lacking,
        on_snapshot=snapshot,
    )
    _write_trained(folder, trainer, progress.images, is_alone=worker.turn is None)
    return model


def _write_trained(folder: RunFolder, trainer: Trainer, images: int, *, is_alone: bool) -> None:
    """Write the weights and how long the training took; remove the checkpoints.

    Memory is that of the whole process, so it is left out where the training was not alone.
    """
    seconds, iterations = trainer.seconds, trainer.training.iterations
    timings: dict[str, float] = {
        "train_seconds": seconds,
        "images_per_second": iterations * images / seconds,
        "iterations_per_second": iterations / seconds,
    }
    if trainer.device.type == "cuda" and is_alone:
        timings["peak_memory_bytes"] = torch.cuda.max_memory_allocated(trainer.device)
    entries = [{"metric": metric, "value": value} for metric, value in timings.items()]
    write_jsonl(folder.path / "timings.jsonl", entries)
    save_weights(folder.model, trainer.model.state_dict())
    if trainer.folder == folder.path:
        remove_checkpoints(trainer.checkpoint)
        return
    trainer.curves.replace(folder.path / trainer.curves.name)
    note_execution(folder.path, **read_execution(trainer.folder))
    shutil.rmtree(trainer.folder)


def _snapshot_entries(
    run: RunConfig, folder: RunFolder, step: int, context: Context
) -> list[Entry]:
    """Return the measurements of a snapshot, made now unless they exist."""
    snapshot = folder.snapshot(step)
    if snapshot.status(run.evaluation_id).state != "done":
        model = load_own(run, folder, snapshot.model, context)
        snapshot.reopen()
        samples, entries = measure_model(run, model, context, step)
        write_jsonl(snapshot.evaluation, entries)
        save_samples(samples, snapshot.path)
        snapshot.finish(run.evaluation_id)
    return read_entries(snapshot.evaluation)


def _save_pictures(run: RunConfig, context: Context, folder: Path, samples: SampleSet) -> None:
    """Keep pictures of the model's codes and samples; a failure there costs no finished run."""
    try:
        save_pictures(context, run.training.seed, folder, run.metrics(), lambda: samples)
    except Exception as error:
        _log.exception("pictures failed")
        say(f"  warning: no pictures of codes: {error}")
