"""Training curves, without waiting for the device."""

from typing import Any

import torch
from torch import Tensor


class StageLosses:
    """Sums of a stage's terms since the last row.

    Nothing is computed or read back until a row is due, so the device is neither given further
    work nor waited for in between. The sums are then taken one pass after another in float64, so
    that they do not depend on when someone asked.

    Args:
        stage: Name of the stage, the first half of the metric names.
        terms: Names of the terms.
        replicas: Number of runs that are trained as one, `R`; None where a run is alone.
    """

    def __init__(self, stage: str, terms: tuple[str, ...], replicas: int | None = None) -> None:
        self.stage = stage
        self.terms = terms
        shape = (len(terms),) if replicas is None else (replicas, len(terms))
        self.passes = 0
        self._sums = torch.zeros(shape, dtype=torch.float64)
        self._first_bad = torch.full(shape, -1, dtype=torch.int64)
        self._unread: list[Tensor] = []
        self._steps: list[int] = []

    def add(self, values: Tensor, step: int) -> None:
        """Take in the terms `[T]` or `[R, T]` of one pass, in which nobody may write afterwards."""
        self._unread.append(values)
        self._steps.append(step)
        self.passes += 1

    def take(self) -> list[dict[str, float]]:
        """Return the means of each run since the last call, and start anew."""
        self._read()
        means = (self._sums / max(self.passes, 1)).view(-1, len(self.terms)).tolist()
        self._sums.zero_()
        self.passes = 0
        names = [f"{self.stage}/{term}" for term in self.terms]
        return [dict(zip(names, of_run, strict=True)) for of_run in means]

    def bad(self) -> list[list[int]]:
        """Return, for each run and term, the first step at which it was not finite, or -1."""
        self._read()
        found: list[list[int]] = self._first_bad.view(-1, len(self.terms)).tolist()
        return found

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
