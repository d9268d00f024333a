"""Training curves, without waiting for the device."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.errors import RunFailed


class StageLosses:
    """Sums of a stage's terms since the last point of the curves.

    Values stay on the device until a point is due. They are then added up pass by pass in float64,
    so that the sums do not depend on how often they are read. A value that is not finite raises
    `RunFailed` when it is read, which names the players that descend the term.
    """

    def __init__(
        self, stage: str, terms: tuple[str, ...], weights: Mapping[str, Mapping[str, float]]
    ) -> None:
        self.stage = stage
        self.terms = terms
        self.weights = weights
        self.passes = 0
        self._sums = torch.zeros(len(terms), dtype=torch.float64)
        self._unread: list[tuple[int, Tensor]] = []

    def add(self, step: int, values: Tensor) -> None:
        """Add the terms `[T]` of a pass; nobody may write to that tensor afterwards."""
        self._unread.append((step, values))
        self.passes += 1

    def take(self) -> dict[str, float]:
        """Return the mean of every term since the last call, and start again."""
        self._read()
        means = (self._sums / max(self.passes, 1)).tolist()
        self._sums.zero_()
        self.passes = 0
        return {f"{self.stage}/{t}": mean for t, mean in zip(self.terms, means, strict=True)}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        self._read()
        return {"sums": self._sums, "passes": self.passes}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._sums.copy_(state["sums"])
        self.passes = state["passes"]

    def _read(self) -> None:
        """Add up what has come in, fetched from the device in one transfer."""
        if not self._unread:
            return
        values = torch.stack([values for _, values in self._unread]).double().cpu()
        for index, term_index in (~values.isfinite()).nonzero().tolist():
            step, term = self._unread[index][0], self.terms[term_index]
            players = ", ".join(player for player in self.weights if term in self.weights[player])
            raise RunFailed(
                f"term {term!r} of stage {self.stage!r} was not finite at iteration {step} "
                f"(descended by {players}); a smaller rate, a weight closer to the default, or "
                "clip_norm may help"
            )
        for of_pass in values:
            self._sums += of_pass
        self._unread.clear()
