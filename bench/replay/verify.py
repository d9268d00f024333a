"""Doing a run again, in part or in full, and comparing it with its record.

The same code on the same machine gives the same bits. Another processor, another number of
threads or another version of torch adds in another order, which changes last digits; training
amplifies them, so early losses tell most.
"""

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from bench.console import say
from bench.errors import BenchError, Interrupted
from bench.evaluation.measuring import load_trained, measure_model
from bench.execution.code_change import code_change
from bench.execution.run_one import run_one
from bench.execution.source_files import sources_of
from bench.execution.task import RunTask
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.files import read_json
from bench.record.jsonl import read_jsonl
from bench.record.lock import Busy
from bench.record.run_folder import RunFolder
from bench.replay.agreement import Row, Verdict, compare_rows, compare_weights, differences
from bench.spec.components import construct
from bench.spec.run_config import RunConfig, recorded
from bench.spec.run_settings import Evaluation, Training
from bench.training.trainer import Trainer


def read_run(folder: Path) -> tuple[RunConfig, bool]:
    """Return the configuration of a run from its record alone.

    Args:
        folder: Folder of the run.

    Returns:
        The configuration, and whether it says what was measured; older records do not.

    Raises:
        BenchError: If it is not the folder of a run.
    """
    path = folder / "config.json"
    if not path.exists():
        raise BenchError(f"{folder} is not the folder of a run: it has no config.json")
    document = read_json(path)
    try:
        asked = Evaluation.model_validate_json(json.dumps(document.get("evaluation", {})))
        training = _in_order(recorded(document["config"]))
        return RunConfig(training, asked), "evaluation" in document
    except (BenchError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise BenchError(f"{path} does not describe a run that was trained: {reason}") from error


def _in_order(training: Training) -> Training:
    """Return the same training with its objective in the order of the model's own table.

    The record is sorted by name. Losses are added in the order of the table, and sums of floats
    depend on it.
    """
    spec = construct("dataset", training.data).spec
    with torch.device("meta"):
        own = construct("model", training.model, spec).objective
    table = training.objective
    objective = {
        player: {term: table[player][term] for term in (*own[player], *table[player])}
        for player in own
    }
    return training.model_copy(update={"objective": objective})


def verify(folder: Path, worker: Worker, steps: int, *, figures: bool) -> Verdict:
    """Do the first iterations of a run again, and compare the losses with those on record.

    Args:
        folder: Folder of the run.
        worker: Where to do it; as many threads as then where it says nothing.
        steps: Iterations; continued to the next ones after which losses were recorded.
        figures: Whether to measure the kept weights again.

    Returns:
        The verdict.

    Raises:
        BenchError: If there is nothing to compare with.
    """
    run, says_what = read_run(folder)
    recorded = read_jsonl(folder / "rows.jsonl")
    if not recorded:
        raise BenchError(f"{folder} has no losses on record to compare with")
    if figures and not says_what:
        raise BenchError(f"{folder / 'config.json'} is older than --figures, and names no metrics")
    kept = _kept(run, RunFolder(folder))
    if figures and not kept:
        raise BenchError(f"{folder} has no weights to measure; leave out --figures")
    worker = _as_then(folder, worker)
    origin = _origin_here(folder, run, worker)
    later = sorted({row["step"] for row in recorded})
    end = next((step for step in later if step >= steps), later[-1])
    with worker.computing(worker.context(run).data.spec):
        losses = _first_losses(run, worker, end)
        what = f"losses of the first {end} of {run.training.iterations} iterations"
        found = [compare_rows(what, [row for row in recorded if row["step"] <= end], losses)]
        if figures:
            rows = read_jsonl(RunFolder(folder).evaluation)
            then = [row for row in rows if row["step"] in kept]
            found.append(compare_rows("figures", then, _figures(run, kept, worker)))
    return Verdict(folder, tuple(found), differences(folder, origin))


def rerun(folder: Path, into: Path, worker: Worker) -> Verdict:
    """Do a run again from its record alone, and compare both.

    Args:
        folder: Folder of the run; `config.json` in it suffices.
        into: Where its new folder is to be, named by its id; one that is there is continued, or
            tried again if it failed.
        worker: Where to do it; as many threads as then where it says nothing.

    Returns:
        The verdict.

    Raises:
        BenchError: If the record is not enough, or the run fails.
        Interrupted: If someone asked to stop.
    """
    run, says_what = read_run(folder)
    if not says_what:
        run = replace(run, evaluation=run.evaluation.model_copy(update={"metrics": []}))
    target = into / run.id
    if target.resolve() == folder.resolve():
        raise BenchError(f"{target} is the run itself; name another folder with --into")
    worker = _as_then(folder, worker)
    origin = _origin_here(folder, run, worker)
    label = f"rerun of {folder.name}"
    change = code_change(RunTask(target, label, run))
    if change is not None and change.version:
        files = ", ".join(sorted({*change.learned, *change.measured, *change.harness}))
        raise BenchError(
            f"{target} was done by other code ({files} changed since); delete it, or name another "
            "folder with --into"
        )
    if (target / "failed").exists():
        with suppress(Busy), RunFolder(target).locked():
            RunFolder(target).reopen()
    outcome = run_one(run, target, label, worker)
    if outcome == "busy":
        raise BenchError(f"another process is at work on {target}")
    if outcome == "failed":
        raise BenchError(f"it failed; why: cat {target / 'failed'}")
    say(f"{'was done again before' if outcome == 'kept' else 'done again'}, in {target}")
    names = {"losses": "rows.jsonl"} | ({"figures": "evaluation.jsonl"} if says_what else {})
    found = [
        compare_rows(what, read_jsonl(folder / name), read_jsonl(target / name))
        for what, name in names.items()
        if (folder / name).exists()
    ]
    if (folder / "model.pt").exists():
        found.append(compare_weights(folder / "model.pt", target / "model.pt"))
    return Verdict(folder, tuple(found), differences(folder, origin))


def _as_then(folder: Path, worker: Worker) -> Worker:
    """Return a worker with as many threads as a run had."""
    path = folder / provenance.NAME
    then = read_json(path).get("threads") if path.exists() else None
    return replace(worker, threads=worker.threads or then)


def _origin_here(folder: Path, run: RunConfig, worker: Worker) -> provenance.Origin:
    """Return what is here; refuse other data than the run was done with."""
    data = worker.context(run).data
    fingerprint = data.fingerprints
    path = folder / provenance.NAME
    before: str = read_json(path)["data_fingerprint"] if path.exists() else fingerprint
    if before != fingerprint:
        raise BenchError(
            f"the data set {data.spec.name!r} is not the one of {folder} (fingerprint "
            f"{fingerprint[:12]}, recorded {before[:12]}); nothing can be compared"
        )
    threads = worker.threads_for(data.spec)
    return provenance.collect(worker.device, worker.command, fingerprint, threads, sources_of(run))


def _first_losses(run: RunConfig, worker: Worker, end: int) -> list[Row]:
    data, count = worker.context(run).data, 0

    def counted(done: int, losses: Mapping[str, float] | None) -> None:
        nonlocal count
        count = done

    with tempfile.TemporaryDirectory() as scratch, worker.stop.deferred():
        trainer = Trainer(run.training, data, Path(scratch), worker.device)
        try:
            trainer.train(
                on_iteration=counted,
                stop=lambda: count >= end or worker.stop(),
                checkpoint_seconds=float("inf"),
            )
        except Interrupted:
            if count < end:
                raise
        return read_jsonl(Path(scratch) / "rows.jsonl")


def _kept(run: RunConfig, folder: RunFolder) -> dict[int, Path]:
    """Return the files of all weights that a run has kept, by iterations."""
    last = run.steps[-1]
    files = {step: (folder if step == last else folder.snapshot(step)).model for step in run.steps}
    return {step: file for step, file in files.items() if file.exists()}


def _figures(run: RunConfig, kept: Mapping[int, Path], worker: Worker) -> list[Row]:
    """Return the figures of weights."""
    context = worker.context(run)
    rows: list[Row] = []
    for step, weights in kept.items():
        model = load_trained(run.training, context.data, weights, worker.device)
        rows += measure_model(run, model, context, step)[1]
    return json.loads(json.dumps(rows))  # type: ignore[no-any-return]
