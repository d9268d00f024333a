"""Doing trials: each is a few ordinary runs, one a seed, judged on validation images.

Whatever is killed goes on: trials are held by locks, runs have checkpoints, and equal runs are
done once. Several processes work at the same studies.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.config import RunConfig
from bench.errors import BenchError, Interrupted, UnknownName
from bench.execution.driver import adopt
from bench.execution.job import RunFolder
from bench.execution.work import reference_id, reference_one, run_one
from bench.execution.workplace import Workplace
from bench.reporting.plan import REAL, VALIDATION
from bench.reporting.selection import loss
from bench.tracking.console import say
from bench.tracking.rows import read_rows
from bench.tuning.space import Subject
from bench.tuning.spec import Objective, Tuning
from bench.tuning.study import Claim, Study

POLL_S = 1.0

Row = dict[str, Any]


def run_studies(
    tuning: Tuning,
    studies: Sequence[Study],
    results: Path,
    workplace: Workplace,
    *,
    helpers: Sequence[str] = (),
    jobs: int = 1,
) -> None:
    """Do what is missing of all studies.

    Args:
        tuning: The file.
        studies: A study for each of its variants.
        results: Root of all results.
        workplace: Device, caches, signals.
        helpers: Command line of a process that calls `work` on the same studies.
        jobs: How many processes work, this one included.

    Raises:
        BenchError: If an objective cannot be measured.
        Interrupted: If someone asked to stop.
    """
    seed = tuning.head.seeds[0]
    for study in studies:
        workplace.context(study.subject.run({}, seed))  # data that is missing is told before
    with _helping(helpers, jobs - 1):
        while True:
            work(tuning, studies, results, workplace)
            if all(study.is_over for study in studies):
                return
            if workplace.stop():
                raise Interrupted("stopped while other processes were at work")
            time.sleep(POLL_S)


def work(tuning: Tuning, studies: Sequence[Study], results: Path, workplace: Workplace) -> None:
    """Do those trials that nobody else holds; see `run_studies`."""
    for study in studies:
        claimed = True
        while claimed:
            with study.claim() as claim:
                claimed = claim is not None
                if claim is not None:
                    _Attempt(tuning, study.subject, claim, results, workplace).make()


class _Attempt:
    """One trial under way."""

    def __init__(
        self,
        tuning: Tuning,
        subject: Subject,
        claim: Claim,
        results: Path,
        workplace: Workplace,
    ) -> None:
        self.objectives = tuning.objectives
        self.claim = claim
        self.results = results
        self.folder = results / tuning.head.name
        self.workplace = workplace
        self.label = f"{subject.variant}, trial {claim.trial.number + 1} of {tuning.head.trials}"
        self.runs = [subject.run(claim.trial.values, seed) for seed in tuning.head.seeds]
        self.real: list[Row] = []
        self.is_hopeless = False
        self.problem: BenchError | None = None  # not the run's: told outside of it
        self.seen = 0  # intermediate values reported so far

    def make(self) -> None:
        """Bring the trial to its end."""
        shown = ", ".join(f"{name} {value}" for name, value in self.claim.trial.values.items())
        say(f"{self.label}: {shown}")
        self.claim.note("runs", {str(r.training.seed): r.id for r in self.runs})
        self.real = self._measure_real()
        workplace = replace(self.workplace, stop=self._should_stop)
        for run in self.runs:
            path = self.folder / run.id
            adopt(self.results, path)
            name = f"{self.label}, seed {run.training.seed}"
            try:
                outcome = _patiently(partial(run_one, run, path, name, workplace))
            except Interrupted:
                if self.problem:
                    raise self.problem from None
                if not self.is_hopeless:
                    raise
            else:
                if outcome == "failed":
                    self.claim.fail((path / "failed").read_text().strip().splitlines()[-1])
                    return
                self._look()
            if self.is_hopeless:
                say(f"  {self.label}: given up, worse than the median of the others")
                self.claim.prune()
                return
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
        place = reference_id(REAL, run.training.data, run.evaluation.samples_per_class)
        path = self.folder / place
        if _patiently(partial(reference_one, REAL, run, path, self.workplace)) == "failed":
            raise BenchError(f"the real images could not be measured; why: cat {path / 'failed'}")
        return read_rows(RunFolder(path).evaluation)

    def _should_stop(self) -> bool:
        """Say whether to stop: someone asked, or a new snapshot shows that there is no hope."""
        try:
            self._look()
        except BenchError as problem:
            self.problem = problem
        return self.is_hopeless or self.problem is not None or self.workplace.stop()

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
        rows = [row for row in read_rows(held.evaluation) if row["step"] == step]
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


@contextmanager
def _helping(command: Sequence[str], count: int) -> Iterator[None]:
    """Let other processes work at the same studies, until this one leaves.

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
