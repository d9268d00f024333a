"""`run_one`: fill the folder of one run. Every executor calls this and nothing else.

It is safe to call again after any interruption: what is finished is kept, and the rest goes on
from the last checkpoint.
"""

import logging
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from bench.console import say
from bench.errors import NotApplicable, describe_system_error
from bench.evaluation.code_pictures import save_pictures
from bench.evaluation.controls import Control, control_config
from bench.evaluation.measuring import (
    inapplicable,
    load_trained,
    measure,
    measure_model,
    measured_splits,
    save_samples,
    save_weights,
)
from bench.execution.origin import lacking_snapshots, record_origin, record_run
from bench.execution.run_log import logging_to
from bench.execution.switch_choice import settle_switches
from bench.metrics.base import Context
from bench.process.worker import Worker
from bench.record.files import write_json
from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.lock import Busy
from bench.record.progress import ProgressFile
from bench.record.run_folder import RunFolder
from bench.spec.components import construct
from bench.spec.reserved_names import REAL
from bench.spec.run_config import RunConfig
from bench.spec.switches import SwitchSet
from bench.training.checkpoint import remove_checkpoints
from bench.training.cost import write_cost
from bench.training.interface import ConditionalGenerator
from bench.training.trainer import Trainer

_log = logging.getLogger("bench")

Row = dict[str, Any]
Outcome = Literal["kept", "finished", "failed", "busy"]
"""How a task ended."""


def run_one(run: RunConfig, path: Path, label: str, worker: Worker) -> Outcome:
    """Bring one run to its end.

    Args:
        run: What to do.
        path: Folder of the run.
        label: What to call it on the console.
        worker: Device, caches, signals.

    Returns:
        `kept` if there was nothing to do, `finished`, `failed` (the traceback is in the folder),
        or `busy` if another process is at it.

    Raises:
        Interrupted: If someone asked to stop.
        OSError: If the disk is full, the folder read-only or the like (see
            `describe_system_error`); the next command goes on with the run as it is.
    """
    folder = RunFolder(path)

    def fill() -> None:
        with closing(ProgressFile(folder.path, run.training.iterations)) as progress:
            context = worker.context(run)
            with worker.computing(context.data.spec):
                record_run(run, folder, context.data, worker)
                with worker.stop.deferred():
                    model = _trained(run, folder, label, worker, context, progress)
                progress.measuring()
                earlier = [_figures(run, folder, step, context) for step in run.steps[:-1]]
                samples, rows = measure_model(run, model, context, run.steps[-1])
                write_jsonl(folder.evaluation, [*chain.from_iterable(earlier), *rows])
                save_samples(samples, folder.path, context.data)
                _picture(replace(context, model=model), run.training.seed, folder.path)

    return _settle(folder, run.evaluation_id, fill)


def control_one(name: str, run: RunConfig, path: Path, worker: Worker) -> Outcome:
    """Measure a control, such as the real test images, with the metrics of a run.

    Args:
        name: Which control.
        run: Any run of the sweep on this data set.
        path: Folder of the control, named by `control_id`.
        worker: Device and caches.

    Returns:
        As `run_one`; one that failed is always tried again.
    """
    folder = RunFolder(path)
    count = run.evaluation.samples_per_class
    control: Control = construct("control", {"name": name})

    def fill() -> None:
        context = worker.context(run)
        config = control_config(name, run.training.data, count)
        write_json(path / "config.json", {"id": path.name, "config": config})
        record_origin(run, folder, context.data.fingerprint, worker, "evaluation", "controls")
        with (
            closing(ProgressFile(path, 0)) as progress,
            worker.computing(context.data.spec),
        ):
            progress.measuring()
            rows = []
            for split, held, metrics in measured_splits(run, context):
                where = {"test": REAL if name == REAL else "samples"}.get(split, split)
                try:
                    samples = control.samples(held.data, count)
                except NotApplicable as reason:
                    rows += inapplicable(metrics, reason, split=where)
                    continue
                rows += measure(metrics, samples, held, step=0, split=where)
                if split == run.evaluation.splits[0]:
                    save_samples(samples, folder.path, held.data)
            write_jsonl(folder.evaluation, rows)

    return _settle(folder, run.evaluation_id, fill, retry=True)


def _settle(
    folder: RunFolder,
    evaluation_id: str,
    fill: Callable[[], None],
    *,
    retry: bool = False,
) -> Outcome:
    """Hold a folder, fill it unless that is done, and mark how it went."""
    try:
        with folder.locked(), logging_to(folder.path / "log.txt"):
            state = folder.status(evaluation_id).state
            if state == "done":
                return "kept"
            if state == "failed" and not retry:
                return "failed"
            try:
                folder.reopen()
                _log.info("begun or continued by process %d", os.getpid())
                fill()
            except Exception as error:
                _log.exception("run failed")
                if describe_system_error(error):  # so the run stays as it is, to be gone on with
                    raise
                folder.fail(traceback.format_exc())
                return "failed"
            folder.finish(evaluation_id)
            _log.info("finished")
            return "finished"
    except Busy:
        return "busy"


def _trained(
    run: RunConfig,
    folder: RunFolder,
    label: str,
    worker: Worker,
    context: Context,
    progress: ProgressFile,
) -> ConditionalGenerator:
    """Return the trained model: from its file, or trained now and written to it.

    A finished run that lacks the weights of a snapshot is trained again. Its snapshots are measured
    as soon as they are there, so that whoever waits for them can stop the run.
    """
    data = context.data
    write_cost(run.training, data.spec, folder.path)
    lacking = lacking_snapshots(run, folder)
    if folder.model.exists():
        if not lacking:
            return load_trained(run.training, data, folder.model, worker.device)
        say(f"  {label}: trained again, to keep its weights after iterations {lacking}")
    for step in run.steps[:-1]:
        if step not in lacking:
            _figures(run, folder, step, context)

    def start(switches: SwitchSet) -> Trainer:
        return Trainer(run.training, data, folder.path, worker.device, run.id, switches)

    def snapshot(step: int, weights: Mapping[str, Tensor]) -> None:
        save_weights(folder.snapshot(step).model, weights)
        if not worker.stop():
            with worker.stop.leaving():  # the training is saved as soon as this is left
                _figures(run, folder, step, context)

    trainer = start(settle_switches(run.training, folder.path, worker, start, label))
    progress.images = run.training.batch_size * trainer.draws

    model = trainer.train(
        stop=worker.stop,
        checkpoint_seconds=worker.checkpoint_seconds,
        on_iteration=progress.update,
        snapshots=lacking,
        on_snapshot=snapshot,
    )
    _keep_trained(folder, trainer, progress.images)
    return model


def _keep_trained(folder: RunFolder, trainer: Trainer, images: int) -> None:
    """Write the weights and how long the training took; remove the checkpoints."""
    seconds, iterations = trainer.seconds, trainer.training.iterations
    timings: dict[str, float] = {
        "train_seconds": seconds,
        "images_per_second": iterations * images / seconds,
        "iterations_per_second": iterations / seconds,
    }
    if trainer.device.type == "cuda":
        timings["peak_memory_bytes"] = torch.cuda.max_memory_allocated(trainer.device)
    write_jsonl(
        folder.path / "timings.jsonl",
        [{"metric": metric, "value": value} for metric, value in timings.items()],
    )
    save_weights(folder.model, trainer.model.state_dict())
    remove_checkpoints(trainer.checkpoint)


def _figures(run: RunConfig, folder: RunFolder, step: int, context: Context) -> list[Row]:
    """Return the figures of a snapshot, measured now unless they are there."""
    snapshot = folder.snapshot(step)
    if snapshot.status(run.evaluation_id).state != "done":
        model = load_trained(run.training, context.data, snapshot.model, context.device)
        snapshot.reopen()
        samples, rows = measure_model(run, model, context, step)
        write_jsonl(snapshot.evaluation, rows)
        save_samples(samples, snapshot.path)
        snapshot.finish(run.evaluation_id)
    return read_jsonl(snapshot.evaluation)


def _picture(context: Context, seed: int, folder: Path) -> None:
    """Keep pictures of the model's codes; a failure there costs no finished run."""
    try:
        save_pictures(context, seed, folder)
    except Exception as error:
        _log.exception("pictures failed")
        say(f"  warning: no pictures of codes: {error}")
