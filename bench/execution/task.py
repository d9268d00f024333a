"""A task: one run, or one reference, that is to be brought to its end, wherever that happens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.config import RunConfig, digest
from bench.errors import Interrupted
from bench.execution.job import RunFolder
from bench.execution.work import Outcome, reference_one, run_one
from bench.execution.workplace import Workplace
from bench.tracking.console import say


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be done; plain data, so that it can be sent to another process or machine.

    Attributes:
        config: The complete configuration.
        path: Folder of the run.
        label: What to call it on the console.
        reference: Name of the reference that is measured instead of a model, if any.
    """

    config: RunConfig
    path: Path
    label: str
    reference: str = ""

    @property
    def folder(self) -> RunFolder:
        """The folder with its states."""
        return RunFolder(self.path)

    @property
    def kind(self) -> str:
        """What tasks of about the same length have in common: all but the seed."""
        if self.reference:
            return self.path.name
        return digest({**self.config.canonical, "seed": None})

    def settled(self) -> Literal["kept", "failed"] | None:
        """Return how the task ended already, or None if there is something to do."""
        state = self.folder.state(self.config.evaluation_id)
        if state == "done":
            return "kept"
        return "failed" if state == "failed" and not self.reference else None


def perform(task: Task, workplace: Workplace) -> Outcome:
    """Bring a task to its end. Every executor calls this and nothing else.

    Args:
        task: What to do.
        workplace: Device, caches, signals of the process that does it.

    Returns:
        As `run_one`; trouble outside of the run, such as a full disk, makes it `failed` too.

    Raises:
        Interrupted: If someone asked to stop.
    """
    if workplace.stop():
        raise Interrupted("stopped")
    try:
        if task.reference:
            return reference_one(task.reference, task.config, task.path, workplace)
        return run_one(task.config, task.path, task.label, workplace)
    except OSError as error:
        say(f"  {task.label}: failed: {error}")
        return "failed"
