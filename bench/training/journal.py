"""What one run writes down while it trains: rows of its curves, and checkpoints."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.errors import CheckpointError
from bench.settings import Training
from bench.tracking.console import warn
from bench.tracking.rows import RowWriter, holds, truncate
from bench.training.checkpoint import load_checkpoint, save_checkpoint

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Shows how far a run is."""

    def update(self, step: int, losses: dict[str, float] | None = None) -> None:
        """Take notice that `step` iterations are done; losses come now and then."""
        ...


class Journal:
    """The files of one run in training, and who is told about it.

    Args:
        training: The complete configuration.
        folder: Folder of the run; rows and checkpoints go there.
        run_id: Written into checkpoints, so that one cannot continue another run.

    Attributes:
        progress: Told about every iteration.
        snapshots: Numbers of iterations after which `snapshot` is called.
        snapshot: Given the number of iterations and the weights that one would sample from then.
        start: Iterations that were done before.
        seconds: Time of training; of runs that are trained as one, the share of this one.
    """

    def __init__(self, training: Training, folder: Path, run_id: str = "") -> None:
        self.training = training
        self.folder = folder
        self.run_id = run_id
        self.progress: Progress | None = None
        self.snapshots: Collection[int] = ()
        self.snapshot: Callable[[int, dict[str, Tensor]], None] = lambda step, weights: None
        self.checkpoint = folder / "checkpoint.pt"
        self.start = 0
        self.seconds = 0.0
        self._offset = 0
        self._rows: RowWriter | None = None

    def follow(
        self,
        progress: Progress | None,
        snapshots: Collection[int],
        snapshot: Callable[[int, dict[str, Tensor]], None],
    ) -> None:
        """Say who is told about the run; the arguments are those of `Trainer.train`."""
        self.progress, self.snapshots, self.snapshot = progress, snapshots, snapshot

    def resume(self, device: torch.device) -> dict[str, Any] | None:
        """Find out where to go on: after the last checkpoint, or at the beginning.

        Args:
            device: Where tensors go.

        Returns:
            What was saved, or None at the beginning.

        Raises:
            CheckpointError: If the checkpoint is that of another run.
        """
        self.start, self.seconds, self._offset = 0, 0.0, 0
        state = load_checkpoint(self.checkpoint, device)
        if state is None:
            return None
        if state["step"] >= min(self.snapshots, default=self.training.iterations + 1):
            _log.warning("begins anew: iteration %d is past a snapshot", state["step"])
            return None
        if state["run"] != self.run_id:
            raise CheckpointError(
                f"{self.checkpoint} belongs to run {state['run']}, not to {self.run_id}"
            )
        rows = self.folder / "rows.jsonl"
        if not holds(rows, state["rows_offset"]):
            warn(f"{rows} lacks rows from before the checkpoint, or is damaged: begins anew")
            return None
        self.start, self.seconds = state["step"], state["seconds"]
        self._offset = int(state["rows_offset"])
        _log.info("resumed at iteration %d", self.start)
        return state

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write rows for a while, behind those that the checkpoint knows of."""
        path = self.folder / "rows.jsonl"
        truncate(path, self._offset)
        with RowWriter(path) as self._rows:
            yield

    def report(self, done: int, losses: dict[str, float] | None = None) -> None:
        """Take notice that `done` iterations are done; write losses, where there are new ones."""
        assert self._rows is not None
        for metric, value in (losses or {}).items():
            self._rows.write(step=done, split="train", metric=metric, protocol="", value=value)
        if self.progress:
            self.progress.update(done, losses)

    def save(self, done: int, seconds: float, state: dict[str, Any]) -> None:
        """Write a checkpoint.

        Args:
            done: Iterations done.
            seconds: Time that they took.
            state: What the training needs to go on.
        """
        assert self._rows is not None
        self._rows.flush()
        about = {"run": self.run_id, "step": done, "seconds": seconds}
        save_checkpoint(self.checkpoint, {**about, "rows_offset": self._rows.offset, **state})
