"""Tasks that executors do, in this process or in another."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import Interrupted, KeptAsItWas, describe_system_error
from bench.execution.run_one import Outcome, measure_control, run_one
from bench.process.worker import Worker
from bench.record.locks import Busy
from bench.record.run_folder import RunFolder, State, Status
from bench.spec.run_config import RunConfig, digest


@dataclass(frozen=True, eq=False)
class Task(ABC):
    """Something to do in a folder; plain data, so that it can be sent to another process."""

    path: Path
    label: str  # on the console
    priority: int = field(default=0, kw_only=True)  # tasks of a lower one start first

    is_run = True  # False for a control
    is_portable = False  # whether it can be done in another folder, which is then copied to `path`

    @property
    def folder(self) -> RunFolder:
        """The folder with its states."""
        return RunFolder(self.path)

    @property
    @abstractmethod
    def kind(self) -> str:
        """Key of tasks with similar duration, for the scheduler."""

    @abstractmethod
    def state(self) -> State:
        """Return its state; only `done` and `failed` leave nothing to do."""

    def status(self) -> Status:
        """Return what its folder tells of its state."""
        return self.folder.status()

    @abstractmethod
    def execute(self, worker: Worker) -> Outcome:
        """Do the task in this process."""

    def is_busy(self) -> bool:
        """Return whether it has to wait for other processes."""
        return self.folder.is_locked()

    def last_saved(self) -> float:
        """Return when a state to continue from was last saved, in seconds since 1970; or 0."""
        return self.folder.saved()

    def give_up(self, reason: str) -> None:
        """Mark the task as failed, unless another process works on it."""
        with suppress(Busy), self.folder.locked():
            self.folder.fail(reason + "\n")


@dataclass(frozen=True, eq=False)
class RunTask(Task):
    """A run, with its complete configuration."""

    config: RunConfig

    is_portable = True

    @property
    def kind(self) -> str:
        """Hash of the configuration without the seed, and weights to start from."""
        return digest({**self.config.canonical, "seed": None, "start_from": None})

    @property
    def sampling_rows(self) -> Collection[str]:
        """The sampling rows, by the names of their folders."""
        return self.config.sampling_rows

    @property
    def folders(self) -> list[RunFolder]:
        """The folder of the run, and those of its sampling rows."""
        return [self.folder, *map(self.folder.sampling_row, self.sampling_rows)]

    def status(self) -> Status:
        """Return the state of its folder and of its sampling rows."""
        return self.folder.status(self.config.evaluation_id, self.sampling_rows)

    def state(self) -> State:
        """Return its state alone."""
        return self.status().state

    def give_up(self, reason: str) -> None:
        """Mark the first of its folders that is not done as failed; the others stay."""
        id_ = self.config.evaluation_id
        left = [folder for folder in self.folders if folder.status(id_).state != "done"]
        with suppress(Busy), self.folder.locked():
            left[0].fail(reason + "\n")

    def execute(self, worker: Worker) -> Outcome:
        """Train and measure."""
        return run_one(self.config, self.path, self.label, worker)


@dataclass(frozen=True, eq=False)
class ControlTask(RunTask):
    """A control, measured as the run of a configuration is; one that failed is tried again."""

    control: str

    is_run = False
    sampling_rows = ()

    @property
    def kind(self) -> str:
        """The name of the control."""
        return self.path.name

    def state(self) -> State:
        """Return the state of its folder; a failure counts as unfinished."""
        state = super().state()
        return "unfinished" if state == "failed" else state

    def execute(self, worker: Worker) -> Outcome:
        """Measure the control."""
        return measure_control(self.control, self.config, self.path, worker)


def execute_task(task: Task, worker: Worker) -> tuple[Outcome, str]:
    """Do a task in this process; raise `Interrupted` if someone asked to stop.

    Where nothing in its folder says why the task `failed`, the string does: the machine is to
    blame, such as a full disk, or earlier results were kept.
    """
    if worker.stop():
        raise Interrupted("stopped")
    try:
        return task.execute(worker), ""
    except (OSError, KeptAsItWas) as error:
        return "failed", describe_system_error(error) or str(error)
