"""The folder of a run, its state, and its lock.

`done` or `failed` is written last. A folder without either belongs to a run that was interrupted,
or that is under way: then a process holds its lock.
"""

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from bench.errors import DamagedRecord, value_text
from bench.record.files import read_json, remove_unfinished, write_json, write_text
from bench.record.jsonl import read_asked, read_entries
from bench.record.locks import Busy, hold, is_held
from bench.record.provenance import read_provenance
from bench.record.shapes import ConfigFile, DoneFile

State = Literal["missing", "unfinished", "trained", "done", "failed"]
"""Nothing there; begun; trained, but not measured as asked; trained and measured; an error, or a
damaged file."""


LOCK = "lock"

CHECKPOINTS = ("checkpoint.pt", "checkpoint.pt.previous")
"""Of a training under way: the last one, and the one before it; killed while it saves, it may have
only that."""

RETRAINING = ".retraining"
"""Folder in the folder of a run that is trained again, since snapshots are asked for."""

SAMPLING_ROWS = "sampling"
"""Folder of the sampling rows: `sampling/<hash of the options>`."""


RECORDS = ("rows.jsonl", "cost.jsonl", "timings.jsonl")
"""Records beside the measurements, of which `done` names those that were there; older ones none."""

BEGIN_AGAIN = "to have it made again"
"""End of the reason of a run that only begins again once its folder is deleted."""


class Status(NamedTuple):
    """The state of a run.

    Attributes:
        state: The state.
        reason: Why it failed: the last line of the traceback, or a damaged file.
        is_measured: Whether it was brought to its end once, maybe for other measurements.
    """

    state: State
    reason: str = ""
    is_measured: bool = False


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of the `config.json` of a run; a `DamagedRecord` where there is none."""
    return read_json(folder / "config.json", ConfigFile)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `<results>/<sweep>/<id>`; it may not exist yet."""

    path: Path
    is_snapshot: bool = False  # which has no configuration and provenance of its own

    @property
    def model(self) -> Path:
        """Weights after the last iteration, a plain `state_dict`."""
        return self.path / "model.pt"

    @property
    def evaluation(self) -> Path:
        """The measurements."""
        return self.path / "evaluation.jsonl"

    @property
    def has_checkpoint(self) -> bool:
        """Whether a training can go on, be it from the checkpoint before the last."""
        return any((self.path / name).exists() for name in CHECKPOINTS)

    @property
    def has_learned(self) -> bool:
        """Whether there are weights, of a training that has ended or is under way."""
        return self.model.exists() or self.has_checkpoint

    def snapshot(self, step: int) -> "RunFolder":
        """Return the folder of the snapshot after `step` iterations, which is like a run's."""
        return RunFolder(self.path / "snapshots" / str(step), is_snapshot=True)

    def sampling_row(self, sampling_id: str) -> "RunFolder":
        """Return the folder of a sampling row, which is like a run's."""
        return RunFolder(self.path / SAMPLING_ROWS / sampling_id)

    def sampling_rows(self) -> "list[RunFolder]":
        """Return the folders of all sampling rows, in the order of names."""
        return [
            RunFolder(path)
            for path in sorted((self.path / SAMPLING_ROWS).glob("*"))
            if path.is_dir()
        ]

    def status(
        self, evaluation_id: str | None = None, sampling_ids: Collection[str] = ()
    ) -> Status:
        """Return the state of the run, of its own row and of sampling rows.

        If done for another evaluation id: `trained` where weights exist, else `unfinished`. It is
        also `trained` where a row is not done, and `failed` where that is due to failed rows alone.
        """
        own = self._own_status(evaluation_id)
        if own.state != "done":
            return own
        found = {
            f"{SAMPLING_ROWS}/{id_}": self.sampling_row(id_).status(evaluation_id)
            for id_ in sampling_ids
        }
        left = {name: status for name, status in found.items() if status.state != "done"}
        if not left:
            return own
        if any(status.state != "failed" for status in left.values()):
            return own._replace(state="trained")
        name, first = next(iter(left.items()))
        return own._replace(state="failed", reason=f"{name}: {first.reason}")

    def _own_status(self, evaluation_id: str | None) -> Status:
        if broken := self.broken_link():
            return Status("failed", f"{broken}; delete {self.path} {BEGIN_AGAIN}")
        if not self.path.exists():
            return Status("missing")
        if (failure := self._failure()) is not None:
            return Status("failed", failure)
        is_measured = (self.path / "done").exists()
        if damage := self._damage(is_measured):
            return Status("failed", damage)
        if is_measured and evaluation_id in (None, self._measured_as()):
            return Status("done", is_measured=True)
        return Status("trained" if self.model.exists() else "unfinished", "", is_measured)

    def broken_link(self) -> str:
        """Return what is wrong if the folder is a link to nothing; empty if not."""
        if not self.path.is_symlink() or self.path.exists():
            return ""
        return f"{self.path} is a link to {os.readlink(self.path)}, which is not there"

    def _measured_as(self) -> str:
        return str(read_json(self.path / "done", DoneFile)["evaluation"])

    def _failure(self) -> str | None:
        """Return the last line of the traceback, or None if the run did not fail."""
        path = self.path / "failed"
        try:
            text = path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"cannot read {path}: {error.strerror}"
        return text.splitlines()[-1].strip() if text else "no traceback was recorded"

    def other_run(self) -> str:
        """Return what is wrong if the folder holds a copy of another run; empty if not."""
        with suppress(DamagedRecord):  # which is no matter of this
            if (id_ := read_config(self.path).get("id", self.path.name)) != self.path.name:
                remedy = f"delete {self.path} {BEGIN_AGAIN}"
                return f"{self.path} holds another run, {value_text(id_)}: {remedy}"
        return ""

    def _damage(self, is_measured: bool) -> str:
        """Return what is wrong with the files that reports need; empty where nothing is."""
        if problem := self.other_run():
            return problem
        remedy = f"delete {self.path} {BEGIN_AGAIN}"
        try:
            read_provenance(self.path)
            if is_measured:  # what follows is written again by a run that is not done
                remedy = f"--retry-failed measures again, deleting {self.path} begins again"
                self._check_done()
        except DamagedRecord as problem:
            return f"{problem}; other files of this run may be damaged too: {remedy}"
        return ""

    def check(self) -> None:
        """Raise a `DamagedRecord` unless all that is kept of the run is what it should be."""
        read_provenance(self.path)
        if os.path.lexists(self.path / "config.json"):
            read_config(self.path)
        read_entries(self.path / "rows.jsonl")
        if os.path.lexists(self.path / "done"):
            self._check_done()

    def _check_done(self) -> None:
        """Raise a `DamagedRecord` unless everything is there that `done` promises."""
        done = read_json(self.path / "done", DoneFile)
        fewest = done["measurements"]
        if not self.is_snapshot:
            if not os.path.lexists(path := self.path / "provenance.json"):
                raise DamagedRecord(f"{path} is lost")
            read_config(self.path)
        if not os.path.lexists(self.evaluation):
            raise DamagedRecord(f"{self.evaluation} is lost")
        if (found := len(read_entries(self.evaluation, whole=True))) < fewest:
            raise DamagedRecord(
                f"{self.evaluation} holds {found} measurements of {fewest}; the rest is lost"
            )
        for name in () if self.is_snapshot else RECORDS:
            if name in done.get("records", []) and not os.path.lexists(self.path / name):
                only = "" if name == "cost.jsonl" else ", and only training again writes it"
                raise DamagedRecord(f"{self.path / name} is lost{only}")
            if name != "rows.jsonl":  # which is long, and may lack its last line
                read_entries(self.path / name, whole=True)

    def saved(self) -> float:
        """Return when progress was last saved, in seconds since 1970, or 0 where nothing was."""
        files = [self.path / name for name in CHECKPOINTS] + [self.model]
        files += [*self.path.glob("snapshots/*/done"), *self.path.glob(f"{SAMPLING_ROWS}/*/done")]
        times = [0.0]
        for file in files:
            with suppress(OSError):
                times.append(file.stat().st_mtime)
        return max(times)

    def finish(self, evaluation_id: str) -> None:
        """Mark the run as complete, with all of its measurements."""
        count = len(read_asked(self.evaluation))
        records = [name for name in RECORDS if (self.path / name).exists()]
        promised = {"evaluation": evaluation_id, "measurements": count, "records": records}
        write_json(self.path / "done", promised)

    def fail(self, text: str) -> None:
        """Mark the run as failed, with the traceback."""
        write_text(self.path / "failed", text)

    def reopen(self) -> None:
        """Remove `done` and `failed`, and what a killed process has left half-written."""
        remove_unfinished(self.path)
        for path in (self.path / "done", self.path / "failed"):
            if path.is_dir() and not path.is_symlink():  # damage
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, *, to_write: bool = True, wait: bool = False) -> Iterator[None]:
        """Lock the folder, made if need be, for this process.

        `Busy` if another process has it, unless this is to wait for it.

        The lock vanishes with its holder, however that dies. To read (`to_write=False`), none is
        needed where the folder cannot be written.
        """
        with ExitStack() as stack:
            if broken := self.broken_link():
                raise OSError(broken)
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(hold(self._lock, wait=wait))
            except OSError as error:
                if to_write or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                    raise
            yield

    def is_locked(self) -> bool:
        """Return whether some process works on the run; False also where that cannot be seen."""
        return is_held(self._lock)

    @property
    def _lock(self) -> Path:
        return self.path / LOCK


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """Make the folder of a run whole or not at all: yield one beside it that takes its place.

    A `FileExistsError` if another process has made it meanwhile.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    lock = partial.with_suffix(".lock")
    try:
        with hold(lock):
            partial.mkdir()
            yield partial
            try:
                partial.rename(path)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                text = "another process has made it meanwhile"
                raise FileExistsError(errno.EEXIST, text, str(path)) from error
    finally:
        _remove(partial, lock)


def remove_partial(folder: Path) -> None:
    """Remove from the folder of a sweep what `arriving` left when a process died."""
    for partial in folder.glob(".*.partial"):
        lock = partial.with_suffix(".lock")
        with suppress(Busy), hold(lock):
            _remove(partial, lock)


def _remove(partial: Path, lock: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    for file in lock.parent.glob(f"{lock.name}*"):
        with suppress(OSError):
            file.unlink()
