"""The folder of a run and its state.

`done` or `failed` is written last, so a folder without either belongs to a run that was
interrupted, or that is under way: then a process holds its lock.
"""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import uuid4

from bench.errors import BenchError
from bench.record.files import read_json, write_json, write_text
from bench.record.jsonl import read_jsonl
from bench.record.lock import held, locked

State = Literal["missing", "unfinished", "trained", "done", "failed"]
"""Nothing there; begun; trained, but not measured as asked; trained and measured; an error, or a
damaged file."""


class Status(NamedTuple):
    """The state of a run, and why it failed.

    Attributes:
        state: The state.
        reason: Of a failed run: the last line of the traceback, or which file is damaged.
        is_damaged: Whether it failed because a file is damaged, which no interruption can cause.
    """

    state: State
    reason: str = ""
    is_damaged: bool = False


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `<results>/<sweep>/<id>`; it may not exist yet."""

    path: Path

    @property
    def model(self) -> Path:
        """Weights after the last iteration, a plain `state_dict`."""
        return self.path / "model.pt"

    @property
    def evaluation(self) -> Path:
        """The measurements."""
        return self.path / "evaluation.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of a training under way."""
        return self.path / "checkpoint.pt"

    @property
    def has_learned(self) -> bool:
        """Whether there are weights, of a training that has ended or is under way."""
        return self.model.exists() or self.checkpoint.exists()

    def snapshot(self, step: int) -> "RunFolder":
        """Return the folder of the snapshot after `step` iterations; it is like that of a run."""
        return RunFolder(self.path / "snapshots" / str(step))

    def status(self, evaluation_id: str | None = None) -> Status:
        """Return the state of the run; every command goes by this.

        `evaluation_id` says what is to be measured: a run that was measured otherwise is `trained`.
        Without it, whatever was measured counts.
        """
        if not self.path.exists():
            return Status("missing")
        if (failure := self._failure()) is not None:
            return Status("failed", failure)
        if (self.path / "done").exists():
            if damage := self._damage():
                return Status("failed", damage, is_damaged=True)
            measured = read_json(self.path / "done")["evaluation"]
            if evaluation_id in (None, measured):
                return Status("done")
        return Status("trained" if self.model.exists() else "unfinished")

    def _failure(self) -> str | None:
        """Return the last line of the recorded traceback, or None if the run did not fail."""
        path = self.path / "failed"
        try:
            text = path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"cannot read {path}: {error.strerror}"
        return text.splitlines()[-1].strip() if text else "no traceback was recorded"

    def _damage(self) -> str:
        """Return what is wrong with the files that reports need; empty where nothing is."""
        try:
            for name in ("done", "config.json", "provenance.json"):
                if (self.path / name).exists():
                    content = read_json(self.path / name)
                    if name == "done" and "evaluation" not in content:
                        raise BenchError(f"{self.path / name} is damaged: it lacks 'evaluation'")
            for name in ("evaluation.jsonl", "cost.jsonl", "timings.jsonl"):
                read_jsonl(self.path / name, whole=True)
        except BenchError as problem:
            return (
                f"{problem}; other files of this run may be damaged too: --retry-failed measures "
                f"again, deleting {self.path} begins anew"
            )
        except OSError as error:
            return f"cannot read {error.filename or self.path}: {error.strerror}"
        return ""

    def saved(self) -> float:
        """Return when progress was last saved, in seconds since 1970, or 0 where nothing was."""
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
        """Remove `done` and `failed`."""
        for name in ("done", "failed"):
            (self.path / name).unlink(missing_ok=True)

    def locked(self) -> AbstractContextManager[None]:
        """Lock the run for this process; `Busy` if another process has it."""
        return locked(self.path)

    def held(self) -> bool:
        """Return whether some process works on the run."""
        return held(self.path)


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """Make the folder of a run whole or not at all: yield one beside it that takes its place."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with RunFolder(partial).locked():
            yield partial
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove from the folder of a sweep what `arriving` left when a process died."""
    for partial in folder.glob(".*.partial"):
        if (partial / "lock").exists() and not RunFolder(partial).held():
            shutil.rmtree(partial, ignore_errors=True)
