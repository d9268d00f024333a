"""The progress of a run, in a small file that is deleted when the run ends."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bench.errors import DamagedRecord
from bench.record.files import read_regular
from bench.record.run_folder import RunFolder
from bench.record.shapes import Count, Shape

NAME = "progress.json"
EVERY_S = 1.0

Phase = Literal["training", "measuring"]


class Progress(Shape):
    """`progress.json`: the rate since training began or was resumed, and mean losses, maybe NaN."""

    phase: Phase
    step: Count
    iterations: Count
    images_per_second: float = 0.0
    losses: dict[str, float] | None = None

    @property
    def is_training(self) -> bool:
        """Whether the training is not over yet."""
        return self.phase == "training"

    @property
    def share(self) -> float:
        """Share of the iterations that is done, in [0, 1]."""
        return self.step / self.iterations if self.iterations else 0.0


class ProgressFile:
    """The progress of a run, written to its folder about once a second."""

    images = 0  # that one iteration takes from the stream

    def __init__(self, folder: Path, iterations: int) -> None:
        self.path = folder / NAME
        self.iterations = iterations
        self._began: tuple[float, int] | None = None
        self._losses: dict[str, float] = {}
        self._write("training", 0)
        self._wrote = 0.0

    def update(self, step: int, losses: Mapping[str, float] | None = None) -> None:
        """Note that `step` iterations of the run are done, and new means of its losses."""
        now = time.monotonic()
        began, first = self._began = self._began or (now, step)
        if losses:
            self._losses = {name.rsplit("/", 1)[-1]: value for name, value in losses.items()}
        if now - self._wrote >= EVERY_S:
            rate = (step - first) * self.images / (now - began) if now > began else 0.0
            self._write("training", step, images_per_second=rate, losses=self._losses)

    def measuring(self) -> None:
        """Note that training is over."""
        self._write("measuring", self.iterations)

    def close(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _write(self, phase: Phase, step: int, **rates: Any) -> None:
        """Replace the file; a full disk must not end a run for this."""
        self._wrote = time.monotonic()
        progress = Progress(phase=phase, step=step, iterations=self.iterations, **rates)
        partial = self.path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(progress.model_dump()), encoding="utf-8")
            os.replace(partial, self.path)
        except OSError:
            partial.unlink(missing_ok=True)


def read_progress(folder: Path) -> Progress | None:
    """Return the progress of a run; None where no process is at work on it."""
    try:
        progress = Progress.model_validate_json(read_regular(folder / NAME))
    except (DamagedRecord, ValueError):
        return None
    # or else the process that wrote it has died
    return progress if RunFolder(folder).is_locked() else None
