"""Training curves, without waiting for the device."""

from typing import Any

import torch
from torch import Tensor


class StageLosses:
    """Sums of a stage's terms since the last point of the curves.

    Nothing is computed or read back until a point is due, so the device is neither given further
    work nor waited for in between. The sums are then taken one pass after another in float64, so
    that they do not depend on when someone asked.

    Args:
        stage: Name of the stage, the first half of the metric names.
        terms: Names of the terms.
    """

    def __init__(self, stage: str, terms: tuple[str, ...]) -> None:
        self.stage = stage
        self.terms = terms
        self.passes = 0
        self._sums = torch.zeros(len(terms), dtype=torch.float64)
        self._first_bad = torch.full((len(terms),), -1, dtype=torch.int64)
        self._unread: list[Tensor] = []
        self._steps: list[int] = []

    def add(self, values: Tensor, step: int) -> None:
        """Add the terms `[T]` of one pass, which nobody may write to afterwards."""
        self._unread.append(values)
        self._steps.append(step)
        self.passes += 1

    def take(self) -> dict[str, float]:
        """Return the mean of every term since the last call, and start anew."""
        self._read()
        means = (self._sums / max(self.passes, 1)).tolist()
        self._sums.zero_()
        self.passes = 0
        return {f"{self.stage}/{t}": mean for t, mean in zip(self.terms, means, strict=True)}

    def non_finite(self) -> dict[str, int]:
        """Return the terms that were infinite or NaN, each with the first such step."""
        self._read()
        steps = self._first_bad.tolist()
        return {t: step for t, step in zip(self.terms, steps, strict=True) if step >= 0}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        self._read()
        return {"sums": self._sums, "passes": self.passes}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._sums.copy_(state["sums"])
        self.passes = state["passes"]

    def _read(self) -> None:
        """Fetch what has come in since, in one transfer."""
        if not self._unread:
            return
        values = torch.stack(self._unread).double().cpu()
        for row, bad, step in zip(values, ~values.isfinite(), self._steps, strict=True):
            self._sums += row
            self._first_bad.masked_fill_((self._first_bad < 0) & bad, step)
        self._unread.clear()
        self._steps.clear()
