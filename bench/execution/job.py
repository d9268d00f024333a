"""A run's folder and its states.

`done` or `failed` is written last, so a folder without either belongs to a run that was
interrupted, or that is under way: then somebody holds its lock, which the system takes back when
the holder dies, however it dies.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from bench.errors import BenchError
from bench.reporting.plan import damage
from bench.tracking.lock import Busy as Busy
from bench.tracking.lock import held, locked
from bench.tracking.rows import write_atomically

State = Literal["missing", "unfinished", "failed", "damaged", "trained", "done"]


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `<results>/<sweep>/<id>`.

    Attributes:
        path: The folder; it may not exist yet.
    """

    path: Path

    @property
    def model(self) -> Path:
        """Weights after the last iteration, a plain `state_dict`."""
        return self.path / "model.pt"

    @property
    def evaluation(self) -> Path:
        """The figures."""
        return self.path / "evaluation.jsonl"

    @property
    def checkpoint(self) -> Path:
        """State of a training under way."""
        return self.path / "checkpoint.pt"

    @property
    def has_learned(self) -> bool:
        """Whether weights are there, of a training that has ended or is under way."""
        return self.model.exists() or self.checkpoint.exists()

    def snapshot(self, step: int) -> "RunFolder":
        """Return the folder of the model after so many iterations, in the form of a run's."""
        return RunFolder(self.path / "snapshots" / str(step))

    def state(self, evaluation_id: str) -> State:
        """Return how far the run is.

        Args:
            evaluation_id: What is to be measured; a run that was measured otherwise is `trained`.

        Returns:
            The state; `damaged` if `done` or what is measured cannot be read, which no
            interruption can cause.
        """
        try:
            if not self.path.is_dir():
                return "missing"
            if (self.path / "failed").exists():
                return "failed"
            measured = read_json(self.path / "done")["evaluation"]
        except FileNotFoundError:
            measured = None
        except (BenchError, OSError, LookupError, TypeError):
            return "damaged"
        if measured is not None and damage(self.path):
            return "damaged"
        if measured == evaluation_id:
            return "done"
        return "trained" if self.model.exists() else "unfinished"

    def saved(self) -> float:
        """Return when something was last saved that one could go on from: seconds, or 0."""
        files = [self.checkpoint, self.model, *self.path.glob("snapshots/*/done")]
        times = [0.0]
        for file in files:
            with suppress(OSError):
                times.append(file.stat().st_mtime)
        return max(times)

    def finish(self, evaluation_id: str) -> None:
        """Mark the run as complete."""
        write_json(self.path / "done", {"evaluation": evaluation_id})

    def fail(self, text: str) -> None:
        """Mark the run as failed, with the traceback."""
        write_text(self.path / "failed", text)

    def reopen(self) -> None:
        """Take back `done` and `failed`."""
        for name in ("done", "failed"):
            (self.path / name).unlink(missing_ok=True)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the run for this process; `Busy` if another process holds it."""
        return locked(self.path)

    def held(self) -> bool:
        """Return whether some process is at work on the run."""
        return held(self.path)


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """Fill the folder of a run that is there whole, or not at all.

    Args:
        path: Where it is to stand; nothing may be there yet.

    Yields:
        A folder beside it, which takes its place in the end.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with RunFolder(partial).locked():
            yield partial
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove what processes that died were about to let arrive in the folder of a sweep."""
    for partial in folder.glob(".*.partial"):
        if (partial / "lock").exists() and not RunFolder(partial).held():
            shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_atomically(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a `BenchError` names the file if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} is damaged ({error}); delete it to have it made anew") from error
