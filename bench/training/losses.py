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
    """

    def __init__(self, stage: str, terms: tuple[str, ...], device: torch.device) -> None:
        self.stage = stage
        self.terms = terms
        self.sums = torch.zeros(len(terms), dtype=torch.float64, device=device)
        self.first_bad = torch.full((len(terms),), -1, dtype=torch.int64, device=device)
        self.passes = 0

    def add(self, values: Tensor, step: int) -> None:
        """Take in the terms `[T]` of one pass."""
        self.sums += values
        bad = (self.first_bad < 0) & ~torch.isfinite(values)
        self.first_bad.masked_fill_(bad, step)
        self.passes += 1

    def take(self) -> dict[str, float]:
        """Return the means since the last call, and start anew."""
        means = (self.sums / max(self.passes, 1)).tolist()
        self.sums.zero_()
        self.passes = 0
        return {f"{self.stage}/{t}": mean for t, mean in zip(self.terms, means, strict=True)}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"sums": self.sums, "passes": self.passes}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.sums.copy_(state["sums"])
        self.passes = state["passes"]
