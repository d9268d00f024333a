"""How far a run under way is, as a small file in its folder that anyone may read.

Whoever trains writes it, whoever waits reads it: the display of a sweep, `bench status` in another
terminal, a driver on another machine. It is no part of the record, and is gone when the run is.
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
    """How far a run is.

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
        """Whether there is training left to do."""
        return self.phase == TRAINING

    @property
    def share(self) -> float:
        """Share of the iterations that is done, in [0, 1]."""
        return self.step / self.iterations if self.iterations else 0.0


class ProgressFile:
    """Writes how far a run is, about once a second.

    Args:
        folder: Folder of the run.
        iterations: Length of the run.

    Attributes:
        images: Images that one iteration takes from the stream.
    """

    images = 0

    def __init__(self, folder: Path, iterations: int) -> None:
        self.path = folder / NAME
        self.iterations = iterations
        self._began: tuple[float, int] | None = None
        self._wrote = 0.0
        self._losses: dict[str, float] = {}
        self._write(Progress(TRAINING, 0, iterations))
        self._wrote = 0.0

    def update(self, step: int, losses: Mapping[str, float] | None = None) -> None:
        """Take notice that `step` iterations are done.

        Args:
            step: Iterations done, over the whole run.
            losses: Means of the losses, where there are new ones.
        """
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
        """Take notice that training is over."""
        self._write(Progress(MEASURING, self.iterations, self.iterations))

    def close(self) -> None:
        """Take the file away."""
        self.path.unlink(missing_ok=True)

    def _write(self, progress: Progress) -> None:
        """Replace the file; a disk that is full must not end a run for this."""
        self._wrote = time.monotonic()
        partial = self.path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(asdict(progress)), encoding="utf-8")
            os.replace(partial, self.path)
        except OSError:
            partial.unlink(missing_ok=True)


def read_progress(folder: Path) -> Progress | None:
    """Return how far a run under way is.

    Args:
        folder: Folder of the run.

    Returns:
        The progress; None where nobody is at work on it.
    """
    try:
        found = Progress(**json.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return found if held(folder) else None  # or else whoever wrote it has died
