"""Training curves, without waiting for the device."""

from typing import Any

import torch
from torch import Tensor


class StageLosses:
    """Sums of a stage's terms since the last row, kept on the device.

    Nothing is read back until a row is due, so the device is never waited for in between.

    Args:
        stage: Name of the stage, the first half of the metric names.
        terms: Names of the terms.
        device: Where the sums live.
        replicas: Number of runs that are trained as one, `R`; None where a run is alone.
    """

    def __init__(
        self,
        stage: str,
        terms: tuple[str, ...],
        device: torch.device,
        replicas: int | None = None,
    ) -> None:
        self.stage = stage
        self.terms = terms
        shape = (len(terms),) if replicas is None else (replicas, len(terms))
        self.sums = torch.zeros(shape, dtype=torch.float64, device=device)
        self.first_bad = torch.full(shape, -1, dtype=torch.int64, device=device)
        self.passes = 0

    def add(self, values: Tensor, step: int) -> None:
        """Take in the terms `[T]` or `[R, T]` of one pass."""
        self.sums += values
        bad = (self.first_bad < 0) & ~torch.isfinite(values)
        self.first_bad.masked_fill_(bad, step)
        self.passes += 1

    def take(self) -> list[dict[str, float]]:
        """Return the means of each run since the last call, and start anew."""
        means = (self.sums / max(self.passes, 1)).view(-1, len(self.terms)).tolist()
        self.sums.zero_()
        self.passes = 0
        names = [f"{self.stage}/{term}" for term in self.terms]
        return [dict(zip(names, of_run, strict=True)) for of_run in means]

    def bad(self) -> list[list[int]]:
        """Return, for each run and term, the first step at which it was not finite, or -1."""
        found: list[list[int]] = self.first_bad.view(-1, len(self.terms)).tolist()
        return found

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"sums": self.sums, "passes": self.passes}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.sums.copy_(state["sums"])
        self.passes = state["passes"]
