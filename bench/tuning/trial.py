"""Doing trials: each is a few ordinary runs, one a seed, judged on validation images.

Whatever is killed goes on: trials are held by locks, runs have checkpoints, and equal runs are
done once. Several processes work at the same studies.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.console import say
from bench.errors import BenchError, Interrupted, UnknownName
from bench.evaluation.controls import control_id
from bench.execution.code_change import check_code, copy_equal_run
from bench.execution.executors.base import Executor
from bench.execution.run_one import Outcome, measure_control, run_one
from bench.execution.scheduler import schedule
from bench.execution.source_files import sources_of
from bench.execution.task import RunTask, Task
from bench.process.worker import Worker
from bench.record.jsonl import read_jsonl
from bench.record.run_folder import RunFolder, State, remove_partial
from bench.reporting.snapshot_selection import loss
from bench.spec.reserved_names import REAL, VALIDATION
from bench.spec.run_config import RunConfig
from bench.tuning.study import Claim, Study
from bench.tuning.tuning_file import Objective

POLL_S = 1.0

Row = dict[str, Any]


def run_studies(studies: Sequence[Study], worker: Worker, executor: Executor) -> None:
    """Do what is missing of some studies.

    Args:
        studies: Of one file.
        worker: Loads the data once, to check it before anything starts.
        executor: Does the trials; it is closed at the end.

    Raises:
        BenchError: If an objective cannot be measured.
        Interrupted: If someone asked to stop.
    """
    tasks = []
    check_code([task for study in studies for task in _begun(study)], worker.options)
    for study in studies:
        remove_partial(study.folder)
        first = study.subject.run({}, study.tuning.head.seeds[0])
        sources_of(first)  # before anyone edits them
        worker.context(first)
        label = f"{study.subject.variant}, a trial"
        tasks += [TrialTask(study.folder / "trials", label, study) for _ in range(study.left)]
    for task in tasks:
        task.folder.reopen()
    with closing(schedule(tasks, executor)) as trials:
        for number, (ended, outcome, reason) in enumerate(trials, start=1):
            if ended.state() == "failed":
                raise BenchError((ended.path / "failed").read_text().strip())
            if reason:  # what no trial is to blame for: the same command goes on with it
                raise BenchError(reason)
            say(f"{outcome:<8}  {ended.label}, {number} of {len(tasks)}")


def _begun(study: Study) -> Iterator[RunTask]:
    """Yield the runs of all trials that have begun, those that the study has ended with too."""
    for trial in study.trials():
        for seed in trial.about.get("runs", {}):
            run = study.subject.run(trial.values, int(seed))
            yield RunTask(study.folder / run.id, f"trial {trial.number}, seed {seed}", run)


@dataclass(frozen=True, eq=False)
class TrialTask(Task):
    """The next trial of a study; which one that is turns out when it begins.

    `failed` in its folder says why no trial of any study can be judged.

    Attributes:
        study: The study.
    """

    study: Study

    @property
    def kind(self) -> str:
        """The variant."""
        return self.study.subject.variant

    def is_busy(self) -> bool:
        """Return whether other processes are at all trials that are left."""
        return self.study.is_held()

    def state(self) -> State:
        """Return the state of the whole study."""
        if (self.path / "failed").exists():
            return "failed"
        return "unfinished" if self.study.left else "done"

    def last_saved(self) -> float:
        """Return when a run of any trial last saved something."""
        return max(
            (RunFolder(p.parent).saved() for p in self.study.folder.glob("*/config.json")),
            default=0.0,
        )

    def execute(self, worker: Worker) -> Outcome:
        """Bring a trial to its end."""
        with ExitStack() as stack:
            with worker.stop.deferred():
                claim = stack.enter_context(self.study.claim())
            if claim is None:
                return "busy"
            try:
                return _Attempt(self.study, claim, worker).make()
            except BenchError as error:
                self.folder.fail(f"{error}\n")
                return "failed"

    def give_up(self, reason: str) -> None:
        """Let the trial whose holder died be a failed one, or tell why none can be begun."""
        with self.study.claim(new=False) as orphan:
            if orphan is None:
                self.folder.fail(f"{self.label}: {reason}\n")
            else:
                orphan.fail(reason)


class _Attempt:
    """One trial under way."""

    def __init__(self, study: Study, claim: Claim, worker: Worker) -> None:
        head, subject = study.tuning.head, study.subject
        self.objectives = study.tuning.objectives
        self.claim = claim
        self.folder = study.folder
        self.worker = worker
        self.label = f"{subject.variant}, trial {claim.trial.number + 1} of {head.trials}"
        self.runs = [subject.run(claim.trial.values, seed) for seed in head.seeds]
        self.real: list[Row] = []
        self.is_hopeless = False
        self.problem: BenchError | None = None  # not the run's: told outside of it
        self.seen = 0  # intermediate values reported so far

    def make(self) -> Outcome:
        """Bring the trial to its end."""
        shown = ", ".join(f"{name} {value}" for name, value in self.claim.trial.values.items())
        say(f"{self.label}: {shown}")
        self.claim.note("runs", {str(r.training.seed): r.id for r in self.runs})
        self.real = self._measure_real()
        for run in self.runs:
            path = self.folder / run.id
            name = f"{self.label}, seed {run.training.seed}"
            copy_equal_run(self.folder.parent, RunTask(path, name, run), self.worker.options)
            try:
                with self.worker.stop.also(self._cannot_go_on):
                    outcome = _patiently(partial(run_one, run, path, name, self.worker))
            except Interrupted:
                if self.problem:
                    raise self.problem from None
                if not self.is_hopeless:
                    raise
            else:
                if outcome == "failed":
                    self.claim.fail((path / "failed").read_text().strip().splitlines()[-1])
                    return "failed"
                self._look()
            if self.is_hopeless:
                say(f"  {self.label}: given up, worse than the median of the others")
                self.claim.prune()
                return "finished"
        with self.worker.stop.deferred():
            self._conclude()
        return "finished"

    def _conclude(self) -> None:
        last = self.runs[0].steps[-1]
        losses = [self._loss(objective, self.runs, last) for objective in self.objectives]
        figures = {
            objective.metric: _mean([self._figure(objective, run, last)[0] for run in self.runs])
            for objective in self.objectives
        }
        self.claim.note("figures", figures)
        self.claim.complete(losses)
        told = ", ".join(f"{metric} {value:.4g}" for metric, value in figures.items())
        say(f"  {self.label}: {told} on validation images")

    def _measure_real(self) -> list[Row]:
        """Return the figures of the real validation images, measured now unless they are there."""
        run = self.runs[0]
        place = control_id(REAL, run.training.data, run.evaluation.samples_per_class)
        path = self.folder / place
        if _patiently(partial(measure_control, REAL, run, path, self.worker)) == "failed":
            raise BenchError(f"the real images could not be measured; why: cat {path / 'failed'}")
        return read_jsonl(RunFolder(path).evaluation)

    def _cannot_go_on(self) -> bool:
        """Say whether a new snapshot shows that there is no hope, or cannot be judged."""
        try:
            self._look()
        except BenchError as problem:
            self.problem = problem
        return self.is_hopeless or self.problem is not None

    def _look(self) -> None:
        """Report the snapshots that have been measured since the last look."""
        steps = self.runs[0].steps
        if len(self.objectives) > 1 or len(steps) < 2:
            return
        while self.seen < len(self.runs) * len(steps) - 1 and not self.is_hopeless:
            place, step = divmod(self.seen, len(steps))
            if not self._is_measured(self.runs[place], steps[step]):
                return
            value = self._loss(self.objectives[0], self.runs[: place + 1], steps[step])
            self.is_hopeless = self.claim.is_hopeless(self.seen, value)
            self.seen += 1

    def _is_measured(self, run: RunConfig, step: int) -> bool:
        folder = RunFolder(self.folder / run.id)
        held = folder if step == run.steps[-1] else folder.snapshot(step)
        return (held.path / "done").exists()

    def _loss(self, objective: Objective, runs: Sequence[RunConfig], step: int) -> float:
        """Return the mean loss of some runs after so many iterations."""
        losses = []
        for run in runs:
            value, protocol = self._figure(objective, run, step)
            target = 1.0
            if objective.direction == "real":
                found = [r for r in self.real if r["split"] == VALIDATION]
                target = _one(found, objective.metric, protocol)[0]
            losses.append(loss(value, objective.direction, target))
        return _mean(losses)

    def _figure(self, objective: Objective, run: RunConfig, step: int) -> tuple[float, str]:
        folder = RunFolder(self.folder / run.id)
        held = folder if step == run.steps[-1] else folder.snapshot(step)
        rows = [row for row in read_jsonl(held.evaluation) if row["step"] == step]
        return _one([row for row in rows if row["split"] == VALIDATION], objective.metric)


def _one(rows: Sequence[Row], metric: str, protocol: str = "") -> tuple[float, str]:
    """Return the figure of a metric and its protocol; a wanted protocol goes first."""
    found = [row for row in rows if row["metric"] == metric]
    found.sort(key=lambda row: row["protocol"] != protocol)
    if not found:
        raise UnknownName("figure as objective", metric, [row["metric"] for row in rows])
    if found[0]["value"] is None:
        raise BenchError(f"the objective {metric} has no value: {found[0]['reason']}")
    return float(found[0]["value"]), str(found[0]["protocol"])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _patiently(do: Callable[[], str]) -> str:
    """Do something again and again until no other process is at it."""
    while (outcome := do()) == "busy":
        time.sleep(POLL_S)
    return outcome
