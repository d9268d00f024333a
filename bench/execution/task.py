"""A task: what an executor brings to its end, wherever that happens."""

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import Interrupted, describe_system_error
from bench.execution.run_one import Outcome, control_one, run_one
from bench.process.worker import Worker
from bench.record.lock import Busy
from bench.record.run_folder import RunFolder
from bench.spec.run_config import RunConfig, digest


@dataclass(frozen=True, eq=False)
class Task(ABC):
    """What is to be done; plain data, so that it can be sent to another process or machine.

    Attributes:
        path: Folder of what it leaves.
        label: What to call it on the console.
    """

    path: Path
    label: str

    portable = False
    """Whether it can be done in an empty folder that is copied to `path` afterwards."""

    @property
    def is_run(self) -> bool:
        """Whether it is what was asked for, rather than what that is compared with."""
        return True

    @property
    def failure(self) -> str:
        """Why it failed, in a line; empty if it did not, or that could not be written."""
        return self.folder.status().reason

    @property
    def folder(self) -> RunFolder:
        """The folder with its states."""
        return RunFolder(self.path)

    @property
    @abstractmethod
    def kind(self) -> str:
        """What tasks of about the same length have in common."""

    @abstractmethod
    def held(self) -> bool:
        """Return whether it has to wait for other processes."""

    @abstractmethod
    def settled(self) -> Literal["kept", "failed"] | None:
        """Return how the task ended already, or None if there is something to do."""

    @abstractmethod
    def saved(self) -> float:
        """Return when something was last saved that another worker could go on from, or 0."""

    @abstractmethod
    def do(self, worker: Worker) -> Outcome:
        """Bring it to its end in this process; see `perform`."""

    @abstractmethod
    def give_up(self, reason: str) -> None:
        """Make it a failed one, since whoever does it dies."""


@dataclass(frozen=True, eq=False)
class RunTask(Task):
    """One run, or one control.

    Attributes:
        config: The complete configuration.
        control: Name of the control that is measured instead of a model, if any.
    """

    config: RunConfig
    control: str = ""

    portable = True

    @property
    def is_run(self) -> bool:
        """Whether it is no control."""
        return not self.control

    @property
    def kind(self) -> str:
        """All but the seed."""
        if self.control:
            return self.path.name
        return digest({**self.config.canonical, "seed": None})

    def held(self) -> bool:
        """Return whether another process is at it."""
        return self.folder.held()

    def settled(self) -> Literal["kept", "failed"] | None:
        """Return what the folder says."""
        state = self.folder.status(self.config.evaluation_id).state
        if state == "done":
            return "kept"
        return "failed" if state == "failed" and not self.control else None

    def saved(self) -> float:
        """Return the time of the newest checkpoint, weights or snapshot."""
        return self.folder.saved()

    def do(self, worker: Worker) -> Outcome:
        """Train and measure, or measure."""
        if self.control:
            return control_one(self.control, self.config, self.path, worker)
        return run_one(self.config, self.path, self.label, worker)

    def give_up(self, reason: str) -> None:
        """Say so in the folder, unless another process has taken it up."""
        with suppress(Busy), self.folder.locked():
            self.folder.fail(reason + "\n")


def perform(task: Task, worker: Worker) -> tuple[Outcome, str]:
    """Bring a task to its end. Every executor calls this and nothing else.

    Args:
        task: What to do.
        worker: Device, caches, signals of the process that does it.

    Returns:
        As `run_one`. Trouble outside of the run, such as a full disk, makes it `failed` too; then
        a text says what, since there may be no place to write it.

    Raises:
        Interrupted: If someone asked to stop.
    """
    if worker.stop():
        raise Interrupted("stopped")
    try:
        return task.do(worker), ""
    except OSError as error:
        return "failed", describe_system_error(error) or str(error)
