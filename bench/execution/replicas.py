"""Training several runs of one kind as one program, as a task.

Such a task fills the folders of its runs as far as training goes, each as if it had been alone, and
is then divided: every run is a task again, which finds its weights and measures them. So whatever
cannot be trained together, for whichever reason, is trained by its own task.
"""

import logging
import os
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from bench.errors import machine_trouble
from bench.execution.job import Busy, RunFolder
from bench.execution.log import logging_to
from bench.execution.recording import lacking_snapshots, record_run
from bench.execution.switching import settle_switches
from bench.execution.task import RunTask, Task
from bench.execution.work import (
    Outcome,
    keep_snapshot,
    keep_trained,
)
from bench.execution.workplace import Workplace
from bench.metrics.base import Context
from bench.tracking.console import say
from bench.tracking.execution import note_execution, read_execution
from bench.tracking.progress import ProgressFile
from bench.training.cost import write_cost
from bench.training.journal import Journal
from bench.training.replicas import ReplicaTrainer, speedup
from bench.training.switches import SwitchSet
from bench.training.trainer import Trainer

MOST = 8
"""Runs that are trained as one where nobody says how many."""
WORTH = 1.2
"""How much faster that has to be: processes beside each other gain as well."""

_log = logging.getLogger("bench")


@dataclass(frozen=True, eq=False)
class ReplicasTask(Task):
    """The training of several runs of one kind as one program; measuring is left to each.

    Attributes:
        runs: The runs; `path` is that of the first.
        if_faster: Whether to find out first if that pays here.
    """

    runs: tuple[RunTask, ...]
    if_faster: bool

    @property
    def parts(self) -> tuple[Task, ...]:
        """The runs, which are done one by one afterwards, or instead."""
        return self.runs

    @property
    def kind(self) -> str:
        """The kind of its runs, but longer."""
        return f"{self.runs[0].kind} as {len(self.runs)} replicas"

    def held(self) -> bool:
        """Return whether others are at all of its runs."""
        return all(run.held() for run in self.runs)

    def settled(self) -> None:
        """There is something to do: at least to divide it."""

    def saved(self) -> float:
        """Return 0: what is saved is of the runs."""
        return 0.0

    def do(self, workplace: Workplace) -> Outcome:
        """Train those runs that nobody else is at and that are at the same iteration."""
        runs = [replace(run, path=self.path.with_name(run.path.name)) for run in self.runs]
        context = workplace.context(runs[0].config)
        with ExitStack() as stack:
            stack.enter_context(workplace.computing(context.data.spec))
            ready = [
                begun
                for run in sorted(runs, key=lambda run: run.path)
                if (begun := _begin(run, workplace, context, stack)) is not None
            ]
            at: dict[int, list[_Begun]] = {}
            for begun in ready:
                at.setdefault(begun.journal.start, []).append(begun)
            for group in at.values():
                if len(group) > 1:
                    try:
                        _train(group, self.label, workplace, context, self.if_faster)
                    except Exception as error:  # each run meets it again, if it is its own
                        _log.exception("training as replicas failed")
                        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                        say(f"  {self.label}: trained one by one: {reason}")
        return "divided"

    def give_up(self, reason: str) -> None:
        """Nothing of it fails as a whole: its runs go on one by one."""


def grouped(
    tasks: Sequence[RunTask], replicas: int | Literal["auto"] | None, device: torch.device
) -> list[Task]:
    """Put the training of runs that differ in their seed alone into tasks of their own.

    Args:
        tasks: Runs and references that are not settled.
        replicas: How many runs to train as one, at most, as for `run_sweep`.
        device: Where they are trained, as far as it is known here.

    Returns:
        The tasks, in their order; groups of a kind are about equally large.
    """
    if replicas is None:
        replicas = "auto" if device.type == "cuda" else 1
    most = MOST if replicas == "auto" else replicas
    kinds: dict[str, list[RunTask]] = {}
    for task in tasks:
        needs_parts = "micro_batch" in read_execution(task.path)  # there is no room for several
        alone = task.reference or task.folder.model.exists() or needs_parts
        kinds.setdefault(str(task.path) if alone else task.kind, []).append(task)
    found: list[Task] = []
    for runs in kinds.values():
        groups = -(-len(runs) // most)
        for number in range(groups):
            share = runs[number * len(runs) // groups : (number + 1) * len(runs) // groups]
            if len(share) == 1:
                found += share
                continue
            label = f"{share[0].label} and {len(share) - 1} more"
            found.append(ReplicasTask(share[0].path, label, tuple(share), replicas == "auto"))
    return found


@dataclass(frozen=True)
class _Begun:
    """A run whose folder is held, ready to be trained."""

    task: RunTask
    journal: Journal
    state: dict[str, Any] | None
    progress: ProgressFile

    def logged(self) -> Any:
        """Write what is logged to the run's file."""
        return logging_to(self.task.path / "log.txt")


def _begin(
    task: RunTask, workplace: Workplace, context: Context, stack: ExitStack
) -> _Begun | None:
    """Hold the folder of a run until the stack ends; None if it is not to be trained here."""
    run, folder = task.config, RunFolder(task.path)
    with ExitStack() as held:
        try:
            held.enter_context(folder.locked())
            if folder.state(run.evaluation_id) != "unfinished" or folder.model.exists():
                return None
            with logging_to(folder.path / "log.txt"):
                _log.info("begun or continued by process %d, as a replica", os.getpid())
                record_run(run, folder, context.data, workplace)
                write_cost(run.training, context.data.spec, folder.path)
                progress = held.enter_context(
                    closing(ProgressFile(folder.path, run.training.iterations))
                )
                journal = Journal(run.training, folder.path, run.id)
                snapshot = keep_snapshot(run, folder, workplace, context)
                journal.follow(progress, lacking_snapshots(run, folder), snapshot)
                state = journal.resume(workplace.device)
        except Busy:
            return None
        except Exception:  # its own task meets this again, and records it
            return None
        stack.enter_context(held.pop_all())
    return _Begun(task, journal, state, progress)


def _train(
    group: Sequence[_Begun], label: str, workplace: Workplace, context: Context, if_faster: bool
) -> None:
    """Train runs that are at the same iteration as one."""
    examples = workplace.unlabeled_examples(group[0].task.config)
    journals, device = [begun.journal for begun in group], workplace.device
    if if_faster:
        first = group[0].task

        def alone(switches: SwitchSet) -> Trainer:
            where = first.path, device, first.config.id
            return Trainer(first.config.training, context.data, *where, examples, switches)

        switches = settle_switches(first.config.training, first.path, workplace, alone, label)
        found = speedup(
            lambda: alone(switches),
            lambda: ReplicaTrainer(journals, context.data, device, examples),
        )
        how = "as one program" if found >= WORTH else "one by one"
        say(f"  {label}: trained {how}, since as one they are {found:.1f} times as fast")
        if found < WORTH:
            return
    trainer = ReplicaTrainer(journals, context.data, device, examples)
    images = journals[0].training.batch_size * trainer.draws
    for begun in group:
        begun.progress.images = images
        eager = {"on": [], "device": device.type, "why": ["trained as replicas"]}
        note_execution(begun.task.path, replicas=len(group), switches=eager)

    def finished(place: int, weights: Mapping[str, torch.Tensor]) -> None:
        folder = RunFolder(group[place].task.path)
        keep_trained(folder, journals[place], images, weights, workplace.device, len(group))

    def failed(place: int, error: Exception) -> None:
        with group[place].logged():
            _log.error("run failed", exc_info=error)
        if not machine_trouble(error):  # in which its own task goes on, or leaves it as it is
            text = "".join(traceback.format_exception(error))
            RunFolder(group[place].task.path).fail(text)

    with workplace.stop.deferred():
        trainer.train(
            [begun.state for begun in group],
            finished=finished,
            failed=failed,
            stop=workplace.stop,
            checkpoint_seconds=workplace.checkpoint_seconds,
        )
