"""The progress of a run under way, as a small file in its folder that anyone may read.

Whoever trains writes it; the display of a sweep and `bench status` read it. It is no part of the
record, and is gone when the run is done.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.record.lock import held

NAME = "progress.json"
TRAINING, MEASURING = "training", "measuring"
EVERY_S = 1.0


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        phase: `training` or `measuring`.
        step: Iterations done.
        iterations: Iterations in all.
        images_per_second: Images taken from the stream, a second, since training began or resumed.
        losses: The last means of the training losses, by short names.
    """

    phase: str
    step: int
    iterations: int
    images_per_second: float = 0.0
    losses: dict[str, float] | None = None

    @property
    def is_training(self) -> bool:
        """Whether the training is not over yet."""
        return self.phase == TRAINING

    @property
    def share(self) -> float:
        """Share of the iterations that is done, in [0, 1]."""
        return self.step / self.iterations if self.iterations else 0.0


class ProgressFile:
    """Writes the progress of a run of so many iterations about once a second."""

    images = 0
    """Images that one iteration takes from the stream."""

    def __init__(self, folder: Path, iterations: int) -> None:
        self.path = folder / NAME
        self.iterations = iterations
        self._began: tuple[float, int] | None = None
        self._losses: dict[str, float] = {}
        self._write(Progress(TRAINING, 0, iterations))
        self._wrote = 0.0

    def update(self, step: int, losses: Mapping[str, float] | None = None) -> None:
        """Take notice that `step` iterations of the whole run are done, and of new losses."""
        now = time.monotonic()
        if self._began is None:
            self._began = now, step
        if losses:
            self._losses = {name.rsplit("/", 1)[-1]: value for name, value in losses.items()}
        if now - self._wrote >= EVERY_S:
            began, first = self._began
            rate = (step - first) * self.images / (now - began) if now > began else 0.0
            self._write(Progress(TRAINING, step, self.iterations, rate, self._losses))

    def measuring(self) -> None:
        """Take notice that the training is over."""
        self._write(Progress(MEASURING, self.iterations, self.iterations))

    def close(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _write(self, progress: Progress) -> None:
        """Replace the file; a full disk must not end a run for this."""
        self._wrote = time.monotonic()
        partial = self.path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(asdict(progress)), encoding="utf-8")
            os.replace(partial, self.path)
        except OSError:
            partial.unlink(missing_ok=True)


def read_progress(folder: Path) -> Progress | None:
    """Return the progress of a run; None where no process works on it."""
    try:
        progress = Progress(**json.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return progress if held(folder) else None  # without a holder, whoever wrote it has died
