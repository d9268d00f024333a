"""Run a sweep: check everything, do what is missing, then write the mirrors.

The driver holds no state of its own. What is done is what the folders say is done, so the same
command continues after anything.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import RunConfig, canonical_json
from bench.errors import BenchError, DataMissing, Interrupted, SpecError
from bench.execution.job import RunFolder, write_json
from bench.execution.plan import states
from bench.execution.work import reference_id, reference_one, run_one
from bench.execution.workplace import Workplace
from bench.reporting.plan import REAL
from bench.sweep import Run, Sweep
from bench.tracking.console import say

POLL_S = 1.0


@dataclass(frozen=True)
class Tally:
    """How a sweep ended.

    Attributes:
        kept: Runs that were done before.
        finished: Runs that were brought to their end, by this process or another.
        failed: Folders of failed runs.
    """

    kept: int
    finished: int
    failed: tuple[Path, ...]


def run_sweep(
    sweep: Sweep, results: Path, workplace: Workplace, *, helpers: Sequence[str] = (), jobs: int = 1
) -> Tally:
    """Do what is missing of a sweep.

    Any number of processes may do this at once, started by hand or by `jobs`: each takes the
    runs that nobody else holds.

    Args:
        sweep: The checked sweep.
        results: Root of all results.
        workplace: Device, caches, signals.
        helpers: Command line of a process that calls `help_sweep` on the same sweep.
        jobs: How many processes work, this one included.

    Returns:
        How it went; one failed run does not stop the others.

    Raises:
        BenchError: If something is missing for it, before anything starts.
        Interrupted: If someone asked to stop.
    """
    folder = results / sweep.name
    _refuse_unwritable(folder)
    before = {path: state for _, path, state in states(sweep, results)}
    todo = [run for run in sweep.runs if before[folder / run.config.id] != "done"]
    _load_data(todo, workplace)
    if workplace.retry_failed:
        for path, state in before.items():
            if state == "failed":
                RunFolder(path).reopen()
    write_json(folder / "sweep.json", _description(sweep))
    with _helping(helpers, min(jobs, len(todo)) - 1):
        busy = list(enumerate(sweep.runs, start=1))
        while busy:
            left = _one_round(busy, sweep, results, workplace)
            if len(left) == len(busy):  # others hold all that is left
                time.sleep(POLL_S)
                if workplace.stop():
                    raise Interrupted("stopped while waiting for another process")
            busy = left
    after = {path: state for _, path, state in states(sweep, results)}
    failed = [path for path, state in after.items() if state == "failed"]
    for place, (name, config) in _references(sweep).items():
        if reference_one(name, config, folder / place, workplace) == "failed":
            failed.append(folder / place)
    kept, done = (list(found.values()).count("done") for found in (before, after))
    return Tally(kept, done - kept, tuple(failed))


def help_sweep(sweep: Sweep, results: Path, workplace: Workplace) -> None:
    """Do those missing runs of a sweep that nobody else holds, once through; see `run_sweep`."""
    _one_round(list(enumerate(sweep.runs, start=1)), sweep, results, workplace)


def _one_round(
    runs: Sequence[tuple[int, Run]], sweep: Sweep, results: Path, workplace: Workplace
) -> list[tuple[int, Run]]:
    """Try every run, and return those that another process holds."""
    busy = []
    for number, run in runs:
        path = results / sweep.name / run.config.id
        label = f"[{number}/{len(sweep.runs)}] {run.variant}, seed {run.config.training.seed}"
        adopt(results, path)
        if run_one(run.config, path, label, workplace) == "busy":
            busy.append((number, run))
    return busy


@contextmanager
def _helping(command: Sequence[str], count: int) -> Iterator[None]:
    """Let other processes work at the same sweep; whoever leaves first asks the others to stop.

    They have a session of their own, so that a Ctrl-C reaches them once, through this process.
    """
    started = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


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
        key = canonical_json([training.data, training.unlabeled])
        if key in problems:
            continue
        try:
            size = len(workplace.context(run.config).data.train)
            workplace.unlabeled(run.config)
        except DataMissing as error:
            problems[key] = str(error)
            continue
        if training.labeled_fraction == 1 and training.labeled_rows > size:
            raise SpecError(
                f"{training.batch_size} is more than the {size} training examples of "
                f"{training.data['name']} (variant {run.variant!r})",
                key="batch_size",
            )
    if problems:
        raise DataMissing("\n".join(dict.fromkeys(problems.values())))


def _references(sweep: Sweep) -> dict[str, tuple[str, RunConfig]]:
    """Return the references of a sweep by their folders, the real images first."""
    chosen: dict[str, tuple[str, RunConfig]] = {}
    for run in sweep.runs:
        evaluation, data = run.config.evaluation, run.config.training.data
        for name in evaluation.references if evaluation.metrics else []:
            place = reference_id(name, data, evaluation.samples_per_class)
            chosen.setdefault(place, (name, run.config))
    return dict(sorted(chosen.items(), key=lambda item: item[1][0] != REAL))


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
            {"id": place, "reference": name, "data": config.training.data["name"]}
            for place, (name, config) in _references(sweep).items()
        ],
    }


def adopt(results: Path, path: Path) -> None:
    """Copy a run that another sweep has trained already: equal ids are equal runs.

    Args:
        results: Root of all results.
        path: Folder of the run.
    """
    if path.exists():
        return
    for other in sorted(results.glob(f"*/{path.name}")):
        if (other / "model.pt").exists() and (other / "done").exists():
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            shutil.copytree(other, partial, ignore=shutil.ignore_patterns("lock"))
            try:
                partial.rename(path)
                say(f"  copied from {other}: the same run")
            except OSError:  # another process was faster
                shutil.rmtree(partial)
            return
