"""One Optuna study for each variant, shared by any number of workers that may die at any time.

A worker holds a lock for its trial, which the system takes back when it dies. Whoever finds a
running trial without a holder goes on with it: its number and its values stay, and its runs
continue from their checkpoints. So a study of 20 trials ends with 20 trials, whatever happened.

What is proposed follows from the seed of the file, the number of the trial, and the trials
before it. With one worker it is always the same, with interruptions or without.
"""

import fcntl
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from bench.errors import BenchError
from bench.record.jsonl import JsonlWriter
from bench.seeding import seed_for
from bench.spec.run_config import digest
from bench.tuning.space import Range, Scalar, Subject
from bench.tuning.tuning_file import Tuning

STARTUP = 8  # trials that are drawn at random before earlier ones guide
State = Literal["complete", "pruned", "failed", "running"]
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class Trial:
    """One setting that was, or is being, tried.

    Attributes:
        number: From 0.
        state: How far it is.
        values: Name of a range -> value, rounded as it is run.
        losses: One for each objective, less is better; none unless it is complete.
        about: What was noted: `runs` (ids), `figures` (objective -> mean over seeds), `failure`.
    """

    number: int
    state: State
    values: Mapping[str, Scalar]
    losses: tuple[float, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


class Claim:
    """A trial that this process holds; what it tries stands in `trial`.

    Args:
        subject: The variant.
        running: The trial as Optuna knows it.
    """

    def __init__(self, subject: Subject, running: optuna.Trial) -> None:
        self._running = running
        values = {
            name: subject.settled(name, _suggest(running, name, allowed))
            for name, allowed in subject.space.items()
        }
        self.trial = Trial(running.number, "running", values)

    def note(self, key: str, value: object) -> None:
        """Note something about the trial."""
        self._running.set_user_attr(key, value)

    def is_hopeless(self, place: int, loss: float) -> bool:
        """Report an intermediate loss, and return whether to give the trial up.

        Args:
            place: Which of the intermediate values this is; the same for all trials.
            loss: The value.

        Returns:
            Whether it is worse than the median of other trials at that place.
        """
        if place not in self._running.study.trials[self._running.number].intermediate_values:
            self._running.report(loss, place)
        return bool(self._running.should_prune())

    def complete(self, losses: Sequence[float]) -> None:
        """Finish the trial with one loss for each objective."""
        self._tell(losses, TrialState.COMPLETE)

    def prune(self) -> None:
        """Finish the trial as given up."""
        self._tell(None, TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """Finish the trial as one whose training failed; it has used its part of the budget."""
        self.note("failure", reason)
        self._tell(None, TrialState.FAIL)

    def _tell(self, losses: Sequence[float] | None, state: TrialState) -> None:
        self._running.study.tell(self._running.number, losses, state=state)


class Study:
    """The trials of one variant; sent to another process, it opens the storage anew there.

    Args:
        tuning: The file.
        subject: The variant.
        folder: Where the journal and the locks are.

    Raises:
        BenchError: If the study was begun with something else in the file.
    """

    def __init__(self, tuning: Tuning, subject: Subject, folder: Path) -> None:
        self.tuning = tuning
        self.subject = subject
        self.folder = folder
        self._locks = folder / "trials" / digest(subject.variant)
        self._locks.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._alone():
            self.held = optuna.create_study(
                storage=_storage(tuning.head.storage, folder),
                study_name=f"{tuning.head.name}/{subject.variant}",
                directions=["minimize"] * len(tuning.objectives),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP // 2),
                load_if_exists=True,
            )
            self._begin()

    def __reduce__(self) -> tuple[Any, ...]:
        return Study, (self.tuning, self.subject, self.folder)

    def _begin(self) -> None:
        """Let a new study begin with the settings that the variant has; know an old one again."""
        run = self.subject.run({}, 0)
        content = {
            "base": run.canonical,
            "evaluation": run.evaluation.model_dump(mode="json"),
            "seeds": self.tuning.head.seeds,
            "objectives": self.tuning.head.objectives,
            "space": {
                n: allowed.model_dump(mode="json") for n, allowed in self.subject.space.items()
            },
            "sampler_seed": self.tuning.head.sampler_seed,
        }
        known = self.held.user_attrs.get("bench.content")
        if known is None:
            if (values := self.subject.default) is not None:
                self.held.enqueue_trial(dict(values))
            self.held.set_user_attr("bench.content", digest(content))
        elif known != digest(content):
            raise BenchError(
                f"the study of {self.subject.variant!r} in {self.folder} was begun with other "
                "settings, seeds, objectives or ranges, and trials of both cannot be compared; "
                f"give {self.tuning.path} another name, or delete the folder"
            )

    @contextmanager
    def claim(self, *, new: bool = True) -> Iterator[Claim | None]:
        """Hold a trial that is to be done: one whose holder died, or else a new one.

        Args:
            new: Whether a new one will do.

        Yields:
            The trial, or None if there is no such trial.
        """
        with ExitStack() as stack:
            with self._alone():
                running = self._orphan(stack) or (self._new(stack) if new else None)
                claim = None if running is None else Claim(self.subject, running)
            yield claim

    def _orphan(self, stack: ExitStack) -> optuna.Trial | None:
        """Hold a trial that was begun, if there is one that nobody holds."""
        for trial in self._held(TrialState.RUNNING):
            number = trial.number
            if self._lock(stack, number) and self.held.trials[number].state == trial.state:
                self._seed(number)
                return optuna.Trial(self.held, trial._trial_id)
        return None

    def _new(self, stack: ExitStack) -> optuna.Trial | None:
        """Begin and hold a trial, if not all have begun."""
        if self._all_begun:
            return None
        self._seed(len(self._held(*STATES)))
        asked = self.held.ask()
        self._lock(stack, asked.number)
        return asked

    def is_held(self) -> bool:
        """Return whether all trials that have not ended are held."""
        with ExitStack() as stack, self._alone():
            return self._all_begun and not self._orphan(stack) and self.left > 0

    def _seed(self, number: int) -> None:
        """Let what is proposed for a trial follow from its number and the trials before it."""
        seed = (
            seed_for(self.tuning.head.sampler_seed, "trial", self.subject.variant, number) % 2**32
        )
        self.held.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)

    def _lock(self, stack: ExitStack, number: int) -> bool:
        file = stack.enter_context((self._locks / f"{number}.lock").open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other worker chooses a trial."""
        with (self._locks / "choice.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def left(self) -> int:
        """How many trials have not ended, of those wanted and of any that were begun beyond."""
        trials = self._held()
        ended = sum(trial.state.is_finished() for trial in trials)
        return int(max(self.tuning.head.trials, len(trials)) - ended)

    @property
    def _all_begun(self) -> bool:
        begins = self._held(TrialState.WAITING)  # the settings to begin with, until they are tried
        return not begins and len(self._held()) >= self.tuning.head.trials

    def _held(self, *states: TrialState) -> list[optuna.trial.FrozenTrial]:
        found: list[optuna.trial.FrozenTrial] = self.held.get_trials(False, states or None)
        return found

    def trials(self) -> list[Trial]:
        """Return all trials that have begun, by number."""
        return [
            Trial(
                trial.number,
                STATES[trial.state],
                {name: self.subject.settled(name, v) for name, v in trial.params.items()},
                tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else (),
                trial.user_attrs,
            )
            for trial in self.held.get_trials()
            if trial.state in STATES
        ]

    def best(self) -> list[Trial]:
        """Return the trials that no other one beats in all objectives, the best one first.

        Those come first that beat the variant as it was, which the first trial is; then that one
        itself; then what is better by one objective at the cost of another, which nobody has asked
        for. Among equals decides the least sum of ranks over the objectives.
        """
        done = [trial for trial in self.trials() if trial.state == "complete"]
        front = [trial for trial in done if not any(_beats(other, trial) for other in done)]
        columns = [sorted(column) for column in zip(*(t.losses for t in done), strict=True)]

        start = next((t for t in done if t.number == 0 and self.subject.default is not None), None)

        def order(trial: Trial) -> tuple[int, int, int]:
            is_traded = 0 if start is None or _beats(trial, start) else 1 + (trial is not start)
            places = zip(columns, trial.losses, strict=True)
            ranks = sum(column.index(loss) for column, loss in places)
            return is_traded, ranks, trial.number

        return sorted(front, key=order)

    def importances(self) -> list[dict[str, float]]:
        """Return for each objective how much of its variance each range explains.

        Returns:
            Name of a range -> share, by fANOVA; empty where there are too few trials to say.
        """
        shares = []
        for index in range(len(self.held.directions)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
                    shares.append(
                        optuna.importance.get_param_importances(
                            self.held,
                            evaluator=evaluator,
                            target=lambda trial, index=index: trial.values[index],
                        )
                    )
            except (ValueError, RuntimeError):  # fewer than two trials, or all the same
                shares.append({})
        return shares


def _beats(one: Trial, other: Trial) -> bool:
    pairs = list(zip(one.losses, other.losses, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _storage(address: str, folder: Path) -> BaseStorage | str:
    """Return the database, or the journal, without a line that was torn by a kill."""
    if address:
        return address
    journal = folder / "journal.jsonl"
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        JsonlWriter(journal).close()
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(journal)))


def _suggest(running: optuna.Trial, name: str, allowed: Range) -> Scalar:
    if allowed.choices:
        chosen: Scalar = running.suggest_categorical(name, allowed.choices)
        return chosen
    low, high = allowed.bounds
    if allowed.integer:
        return int(running.suggest_int(name, round(low), round(high), log=allowed.log))
    return float(running.suggest_float(name, low, high, log=allowed.log))
