"""One Optuna study for each variant, shared by any number of processes that may die at any time.

A running trial whose process has died, and so lost its lock, is continued by the next process. What
is proposed follows from the seed of the file, the number of the trial and the trials before it.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from bench.errors import BenchError, DamagedRecord, SpecError, first_line
from bench.record.jsonl import JsonlWriter
from bench.record.locks import Busy, hold
from bench.seeding import seed_for
from bench.spec.run_config import digest
from bench.tuning.space import Scalar, SearchRange, TunedVariant
from bench.tuning.tuning_file import Tuning

JOURNAL = "journal.jsonl"
STARTUP = 8  # trials that are drawn at random before earlier ones guide
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class TuningTrial:
    """A setting that was, or is being, tried; a complete one has a loss for each objective.

    `runs` maps seeds to ids, `means` objectives to means over seeds.
    """

    number: int
    state: str
    values: Mapping[str, Scalar]
    losses: tuple[float, ...] = ()
    runs: Mapping[str, str] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""

    def beats(self, other: "TuningTrial") -> bool:
        """Return whether no loss is higher than that of the other trial, and one is lower."""
        pairs = list(zip(self.losses, other.losses, strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


class LockedTrial:
    """A trial that this process does: its number, and the `values` that it tries."""

    def __init__(self, variant: TunedVariant, trial: optuna.Trial) -> None:
        self._trial = trial
        self.number = int(trial.number)
        self.values = variant.tried(
            {name: _suggest(trial, name, allowed) for name, allowed in variant.space.items()}
        )

    def note(self, key: str, value: object) -> None:
        """Note something about the trial."""
        self._trial.set_user_attr(key, value)

    def is_hopeless(self, index: int, loss: float) -> bool:
        """Report an intermediate loss; return whether it is worse than the median of others."""
        if index not in self._trial.study.trials[self.number].intermediate_values:
            self._trial.report(loss, index)
        return bool(self._trial.should_prune())

    def complete(self, losses: Sequence[float]) -> None:
        """End the trial with one loss for each objective."""
        self._trial.study.tell(self.number, losses, state=TrialState.COMPLETE)

    def prune(self) -> None:
        """End the trial as given up."""
        self._trial.study.tell(self.number, state=TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """End the trial as one whose training failed; it has used its part of the budget."""
        self.note("failure", reason)
        self._trial.study.tell(self.number, state=TrialState.FAIL)


class Study:
    """The trials of one variant; sent to another process, it opens the storage there again."""

    def __init__(self, tuning: Tuning, variant: TunedVariant, folder: Path) -> None:
        self.tuning = tuning
        self.variant = variant
        self.folder = folder
        self._locks = folder / "trials" / digest(variant.name)
        self._locks.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._choosing(), _explaining(tuning, folder / JOURNAL):
            self._study = optuna.create_study(
                storage=_storage(tuning.head.storage, folder),
                study_name=f"{tuning.head.name}/{variant.name}",
                directions=["minimize"] * len(tuning.objectives),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP // 2),
                load_if_exists=True,
            )
        with self._choosing():
            self._begin()

    def __reduce__(self) -> tuple[Any, ...]:
        return Study, (self.tuning, self.variant, self.folder)

    def _begin(self) -> None:
        """Let a new study begin with the settings that the variant has; refuse another's trials."""
        head, run = self.tuning.head, self.variant.run({}, 0)
        space = self.variant.space.items()
        content = {
            "base": run.canonical,
            "evaluation": run.evaluation.model_dump(mode="json", exclude={"sampling"}),
            "seeds": head.seeds,
            "objectives": head.objectives,
            "space": {name: allowed.model_dump(mode="json") for name, allowed in space},
            "sampler_seed": head.sampler_seed,
        }
        known = self._study.user_attrs.get("bench.content")
        if known is None:
            if self.variant.default is not None:
                self._study.enqueue_trial(dict(self.variant.default))
            self._study.set_user_attr("bench.content", digest(content))
        elif known != digest(content):
            raise BenchError(
                f"the study of {self.variant.name!r} in {self.folder} was begun with other "
                "settings, files, seeds, objectives or ranges, and trials of both cannot be "
                f"compared; give {self.tuning.path} another name, or delete the folder"
            )

    @contextmanager
    def locked_trial(self, *, new: bool = True) -> Iterator[LockedTrial | None]:
        """Lock a trial that is to be done: one whose process died, or else a `new` one, or None."""
        with ExitStack() as stack:
            with self._choosing():
                trial = self._abandoned(stack) or (self._new(stack) if new else None)
                locked = None if trial is None else LockedTrial(self.variant, trial)
            yield locked

    def _abandoned(self, stack: ExitStack) -> optuna.Trial | None:
        """Lock a trial that was begun, if there is one that nobody has locked."""
        for trial in self._in_state(TrialState.RUNNING):
            is_ours = self._lock(stack, trial.number)
            if is_ours and self._study.trials[trial.number].state == trial.state:
                self._seed(trial.number)
                return optuna.Trial(self._study, trial._trial_id)
        return None

    def _new(self, stack: ExitStack) -> optuna.Trial | None:
        """Begin and lock a trial, if not all have begun."""
        if self._all_begun:
            return None
        self._seed(len(self._in_state(*STATES)))
        trial = self._study.ask()
        self._lock(stack, trial.number)
        return trial

    def is_taken(self) -> bool:
        """Return whether other processes have locked all trials that have not ended."""
        with ExitStack() as stack, self._choosing():
            return self._all_begun and not self._abandoned(stack) and self.left > 0

    def _seed(self, number: int) -> None:
        """Let what is proposed for a trial follow from its number and the trials before it."""
        seed = seed_for(self.tuning.head.sampler_seed, "trial", self.variant.name, number) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)

    def _lock(self, stack: ExitStack, number: int) -> bool:
        try:
            stack.enter_context(hold(self._locks / f"{number}.lock"))
        except Busy:
            return False
        return True

    @contextmanager
    def _choosing(self) -> Iterator[None]:
        """Wait until no other process chooses a trial."""
        with hold(self._locks / "choice.lock", wait=True):
            yield

    @property
    def left(self) -> int:
        """Number of trials that have not ended, of those wanted and of any begun beyond."""
        trials = self._in_state()
        ended = sum(trial.state.is_finished() for trial in trials)
        return int(max(self.tuning.head.trials, len(trials)) - ended)

    @property
    def _all_begun(self) -> bool:
        waiting = self._in_state(TrialState.WAITING)  # the settings to begin with
        return not waiting and len(self._in_state()) >= self.tuning.head.trials

    def _in_state(self, *states: TrialState) -> list[optuna.trial.FrozenTrial]:
        """Return the trials in some states, or all of them."""
        trials: list[optuna.trial.FrozenTrial] = self._study.get_trials(False, states or None)
        return trials

    def trials(self) -> list[TuningTrial]:
        """Return all trials that have begun, by number."""
        return [
            TuningTrial(
                trial.number,
                STATES[trial.state],
                self.variant.tried(trial.params),
                tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
                trial.user_attrs.get("runs", {}),
                trial.user_attrs.get("figures", {}),
                trial.user_attrs.get("failure", ""),
            )
            for trial in self._in_state(*STATES)
        ]

    def best(self) -> list[TuningTrial]:
        """Return the trials that no other one beats in all objectives, the best one first.

        Order: trials that beat the first trial, which is the variant as it was; the first trial;
        all others. Ties by the least sum of ranks over the objectives.
        """
        complete = [trial for trial in self.trials() if trial.losses]
        front = [trial for trial in complete if not any(t.beats(trial) for t in complete)]
        columns = [sorted(column) for column in zip(*(t.losses for t in complete), strict=True)]
        begun = complete if self.variant.default is not None else []
        first = next((trial for trial in begun if trial.number == 0), None)

        def order(trial: TuningTrial) -> tuple[int, int, int]:
            is_traded = 0 if first is None or trial.beats(first) else 1 + (trial is not first)
            pairs = zip(columns, trial.losses, strict=True)
            return is_traded, sum(column.index(loss) for column, loss in pairs), trial.number

        return sorted(front, key=order)

    def importances(self) -> list[dict[str, float]]:
        """Return for each objective the share of its variance that each range explains, by fANOVA.

        There are none where there are too few trials.
        """
        shares = []
        for index in range(len(self._study.directions)):
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = optuna.importance.get_param_importances(
                        self._study,
                        evaluator=evaluator,
                        target=lambda trial, index=index: trial.values[index],
                    )
            except (ValueError, RuntimeError):  # fewer than two trials, or all the same
                found = {}
            shares.append(found)
        return shares


@contextmanager
def _explaining(tuning: Tuning, journal: Path) -> Iterator[None]:
    """Say which address is wrong or what is damaged, whatever Optuna or a database raises."""
    try:
        yield
    except Exception as error:
        if tuning.head.storage:
            raise SpecError(first_line(error), where=str(tuning.path), key="storage") from error
        if isinstance(error, OSError):
            raise
        raise DamagedRecord(
            f"{journal} is damaged ({first_line(error)}); put a copy of it back, or delete "
            f"{journal.parent} to begin all studies of this file again"
        ) from error


def _storage(address: str, folder: Path) -> BaseStorage | str:
    """Return the database, or the journal, without a line that was torn by a kill."""
    if address:
        return address
    journal = folder / JOURNAL
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        JsonlWriter(journal).close()
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(journal)))


def _suggest(trial: optuna.Trial, name: str, allowed: SearchRange) -> Scalar:
    if allowed.choices:
        choice: Scalar = trial.suggest_categorical(name, allowed.choices)
        return choice
    low, high = allowed.bounds
    if allowed.integer:
        return int(trial.suggest_int(name, round(low), round(high), log=allowed.log))
    return float(trial.suggest_float(name, low, high, log=allowed.log))
