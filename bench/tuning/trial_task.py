"""Doing trials: each is a few ordinary runs, one for each seed, measured on validation images."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.console import say
from bench.errors import (
    BenchError,
    DeviceLost,
    Interrupted,
    KeptAsItWas,
    SpecError,
    UnknownName,
)
from bench.evaluation.controls import control_id
from bench.execution.code_change import check_code, copy_equal_run
from bench.execution.data_change import KnownData, check_data
from bench.execution.executors.base import Executor
from bench.execution.run_one import Outcome, measure_control, run_one
from bench.execution.scheduler import schedule
from bench.execution.source_files import sources_of
from bench.execution.task import ControlTask, RunTask, Task
from bench.metrics.extractors.pretrained_networks import refuse_unfit
from bench.process.worker import Worker
from bench.record.jsonl import read_entries
from bench.record.run_folder import RunFolder, State, remove_partial
from bench.reporting.snapshot_selection import loss
from bench.spec.reserved_names import REAL, VALIDATION
from bench.spec.run_config import RunConfig
from bench.tuning.study import LockedTrial, Study
from bench.tuning.tuning_file import Criterion

POLL_S = 1.0


class NoValue(BenchError):
    """An objective has no value for what a trial has trained."""


Entry = dict[str, Any]


def run_studies(studies: Sequence[Study], worker: Worker, executor: Executor) -> None:
    """Do the trials that are left of the studies of one file, and close the executor."""
    begun: list[RunTask] = []
    for study in studies:
        _refuse_lost_runs(study)
        again = f"to begin all studies of this file again, delete {study.folder}"
        remedy = f"to keep both, set name=ANOTHER; {again}"
        of_study = [*_begun_runs(study)]
        check_code(of_study, worker.options, remedy)
        begun += of_study
    check_data([*begun, *map(_real_images, studies)], worker)
    if any(study.left for study in studies):
        refuse_unfit(worker.weights)
    tasks = []
    for study in studies:
        remove_partial(study.folder)
        first = study.variant.run({}, study.tuning.head.seeds[0])
        sources_of(first)  # before anyone edits them
        worker.context(first)  # whose data are checked before anything starts
        label = f"{study.variant.name}, a trial"
        tasks += [TrialTask(study.folder / "trials", label, study) for _ in range(study.left)]
    for task in tasks:
        task.folder.reopen()
    with closing(schedule(tasks, executor)) as ended:
        for number, (done, outcome, reason) in enumerate(ended, start=1):
            if done.state() == "failed":
                raise BenchError((done.path / "failed").read_text().strip())
            if reason:  # what no trial is to blame for: the same command goes on with it
                raise BenchError(reason)
            say(f"{outcome:<8}  {done.label}, {number} of {len(tasks)}")


def _refuse_lost_runs(study: Study) -> None:
    """Refuse to go on with losses whose runs are gone or were to be measured again.

    Nothing tells what such losses were measured by, and a study keeps them for good.
    """
    if study.tuning.head.storage:  # other machines may have these runs
        return
    for trial in study.trials():
        for seed, id_ in trial.runs.items() if trial.losses else ():
            folder = RunFolder(study.folder / id_)
            run = study.variant.run(trial.values, int(seed))
            if (state := folder.status(run.evaluation_id).state) != "done":
                what = "gone" if state == "missing" else f"{state}, not done any more"
                raise BenchError(
                    f"{folder.path}, a run of trial {trial.number}, is {what}, but the study still "
                    f"has its loss; to begin all studies of this file again, delete "
                    f"{study.folder}, or give another name"
                )


def _begun_runs(study: Study) -> Iterator[RunTask]:
    """Yield the runs of all trials that have begun."""
    for trial in study.trials():
        for seed in trial.runs:
            run = study.variant.run(trial.values, int(seed))
            yield RunTask(study.folder / run.id, f"trial {trial.number}, seed {seed}", run)


def _real_images(study: Study) -> ControlTask:
    """Return the control that all trials of a study share."""
    run = study.variant.run({}, study.tuning.head.seeds[0])
    id_ = control_id(REAL, run.training.data, run.evaluation.samples_per_class)
    return ControlTask(study.folder / id_, f"real {run.training.data['name']}", run, REAL)


@dataclass(frozen=True, eq=False)
class TrialTask(Task):
    """The next trial of a study, chosen when it begins.

    `failed` in its folder says why no trial of any study can be measured.
    """

    study: Study

    @property
    def kind(self) -> str:
        """The variant."""
        return self.study.variant.name

    def is_busy(self) -> bool:
        """Return whether other processes are at all trials that are left."""
        return self.study.is_taken()

    def state(self) -> State:
        """Return the state of the whole study."""
        if (self.path / "failed").exists():
            return "failed"
        return "unfinished" if self.study.left else "done"

    def last_saved(self) -> float:
        """Return when a run of any trial last saved something."""
        runs = [RunFolder(path.parent) for path in self.study.folder.glob("*/config.json")]
        return max((run.saved() for run in runs), default=0.0)

    def execute(self, worker: Worker) -> Outcome:
        """Bring a trial to its end."""
        with ExitStack() as stack:
            with worker.stop.deferred():
                trial = stack.enter_context(self.study.locked_trial())
            if trial is None:
                return "busy"
            try:
                return _TrialRuns(self.study, trial, worker).do()
            except DeviceLost:  # another process goes on
                raise
            except BenchError as error:
                is_of_values = isinstance(error, NoValue) and self._has_losses()
                if is_of_values or isinstance(error, SpecError):  # others can be measured
                    say(f"  trial {trial.number + 1} of {self.study.variant.name}: {error}")
                    trial.fail(str(error))
                else:
                    self.folder.fail(f"{error}\n")
                return "failed"

    def _has_losses(self) -> bool:
        """Return whether any trial of the tuning has a value of its objectives."""
        tuning, folder = self.study.tuning, self.study.folder
        studies = (Study(tuning, variant, folder) for variant in tuning.variants)
        return any(trial.losses for study in studies for trial in study.trials())

    def give_up(self, reason: str) -> None:
        """Mark the trial whose process died as failed, or the study where there is none."""
        with self.study.locked_trial(new=False) as trial:
            if trial is None:
                self.folder.fail(f"{self.label}: {reason}\n")
            else:
                trial.fail(reason)


class _TrialRuns:
    """The runs of one trial, one for each seed, and their measurements."""

    def __init__(self, study: Study, trial: LockedTrial, worker: Worker) -> None:
        head = study.tuning.head
        self.objectives = study.tuning.objectives
        self.trial = trial
        self.folder = study.folder
        self.worker = worker
        self.label = f"{study.variant.name}, trial {trial.number + 1} of {head.trials}"
        self.runs = [study.variant.run(trial.values, seed) for seed in head.seeds]
        self.data = KnownData(worker)
        self.real_path = _real_images(study).path
        self.real: list[Entry] = []
        self.reported = 0  # intermediate losses
        self.is_hopeless = False
        self.problem: BenchError | None = None  # of an objective, not of the run

    def do(self) -> Outcome:
        """Bring the trial to its end."""
        shown = ", ".join(f"{name} {value}" for name, value in self.trial.values.items())
        say(f"{self.label}: {shown}")
        self.trial.note("runs", {str(run.training.seed): run.id for run in self.runs})
        self.real = self._measure_real()
        for run in self.runs:
            path = self.folder / run.id
            label = f"{self.label}, seed {run.training.seed}"
            task = RunTask(path, label, run)
            copy_equal_run(self.folder.parent, task, self.worker.options, self.data)
            try:
                with self.worker.stop.stop_when(self._cannot_go_on):
                    outcome = _when_free(partial(run_one, run, path, label, self.worker))
            except KeptAsItWas as error:
                self.trial.fail(str(error))
                return "failed"
            except Interrupted:
                if self.problem:
                    raise self.problem from None
                if not self.is_hopeless:
                    raise
            else:
                if outcome == "failed":
                    self.trial.fail(RunFolder(path).status().reason)
                    return "failed"
                self._report()
            if self.is_hopeless:
                say(f"  {self.label}: given up, worse than the median of the others")
                self.trial.prune()
                return "finished"
        with self.worker.stop.deferred():
            self._complete()
        return "finished"

    def _complete(self) -> None:
        last = self.runs[0].steps[-1]
        losses = [self._loss(criterion, self.runs, last) for criterion in self.objectives]
        means = {
            criterion.metric: _mean([self._value(criterion, run, last)[0] for run in self.runs])
            for criterion in self.objectives
        }
        self.trial.note("figures", means)
        self.trial.complete(losses)
        shown = ", ".join(f"{metric} {value:.4g}" for metric, value in means.items())
        say(f"  {self.label}: {shown} on validation images")

    def _measure_real(self) -> list[Entry]:
        """Return the entries of the real validation images, measured unless they are there."""
        run, path = self.runs[0], self.real_path
        if _when_free(partial(measure_control, REAL, run, path, self.worker)) == "failed":
            raise BenchError(
                f"the real images could not be measured; for the reason, see {path / 'failed'}"
            )
        return read_entries(RunFolder(path).evaluation)

    def _cannot_go_on(self) -> bool:
        """Return whether a new snapshot shows that there is no hope, or lacks an objective."""
        try:
            self._report()
        except BenchError as problem:
            self.problem = problem
        return self.is_hopeless or self.problem is not None

    def _report(self) -> None:
        """Report the losses at snapshots that have been measured since the last call."""
        if len(self.objectives) > 1 or len(self.runs[0].steps) < 2:
            return
        points = [(run, step) for run in self.runs for step in run.steps][:-1]
        for index, (run, step) in list(enumerate(points))[self.reported :]:
            if self.is_hopeless or not (self._snapshot(run, step).path / "done").exists():
                return
            so_far = self.runs[: self.runs.index(run) + 1]
            value = self._loss(self.objectives[0], so_far, step)
            self.is_hopeless = self.trial.is_hopeless(index, value)
            self.reported += 1

    def _loss(self, criterion: Criterion, runs: Sequence[RunConfig], step: int) -> float:
        """Return the mean loss of some runs after `step` iterations."""
        losses = []
        for run in runs:
            value, protocol = self._value(criterion, run, step)
            real = criterion.direction == "real"
            target = _find(self.real, criterion.metric, protocol)[0] if real else 1.0
            losses.append(loss(value, criterion.direction, target))
        return _mean(losses)

    def _value(self, criterion: Criterion, run: RunConfig, step: int) -> tuple[float, str]:
        entries = read_entries(self._snapshot(run, step).evaluation)
        return _find([e for e in entries if e["step"] == step], criterion.metric)

    def _snapshot(self, run: RunConfig, step: int) -> RunFolder:
        folder = RunFolder(self.folder / run.id)
        return folder if step == run.steps[-1] else folder.snapshot(step)


def _find(entries: Sequence[Entry], metric: str, protocol: str = "") -> tuple[float, str]:
    """Return value and protocol of a metric on validation images; that protocol goes first."""
    entries = [entry for entry in entries if entry["split"] == VALIDATION]
    found = [entry for entry in entries if entry["metric"] == metric]
    if not found:
        raise UnknownName("measurement as objective", metric, [e["metric"] for e in entries])
    entry = next((e for e in found if e["protocol"] == protocol), found[0])
    if entry["value"] is None:
        raise NoValue(f"the objective {metric} has no value: {entry['reason']}")
    return float(entry["value"]), str(entry["protocol"])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _when_free(do: Callable[[], str]) -> str:
    """Do something, again and again while another process is at it."""
    while (outcome := do()) == "busy":
        time.sleep(POLL_S)
    return outcome
