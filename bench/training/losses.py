"""Training curves, without waiting for the device."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.errors import RunFailed
from bench.training.passes import StagePass


class Losses:
    """Sums of all terms, stage by stage, since the last point of the curves.

    Values stay on the device until a point is due. They are then fetched in one transfer, and added
    up pass by pass in float64, so that the sums do not depend on how often they are read. A value
    that is not finite raises `RunFailed` when it is read, which names the players that descend it.
    """

    def __init__(self, passes: Mapping[str, StagePass]) -> None:
        self._passes = passes
        self._unread: list[tuple[int, Sequence[StagePass], Tensor]] = []
        self._sums = {
            stage: torch.zeros(len(p.terms), dtype=torch.float64) for stage, p in passes.items()
        }
        self._counts = dict.fromkeys(self._sums, 0)

    def add(self, step: int, played: Sequence[StagePass], values: Tensor) -> None:
        """Add the terms of an iteration, one pass after the other; `values` is not copied."""
        self._unread.append((step, played, values))

    def take(self) -> dict[str, float]:
        """Return the mean of every term since the last call, and start again.

        Terms of stages that were not played since then are left out.
        """
        self._read()
        means: dict[str, float] = {}
        for stage, count in self._counts.items():
            if count:
                values = (self._sums[stage] / count).tolist()
                named = zip(self._passes[stage].terms, values, strict=True)
                means |= {f"{stage}/{term}": value for term, value in named}
        for stage, sums in self._sums.items():
            sums.zero_()
            self._counts[stage] = 0
        return means

    def state(self) -> dict[str, dict[str, Any]]:
        """Return what a checkpoint keeps."""
        self._read()
        return {
            stage: {"sums": sums, "passes": self._counts[stage]}
            for stage, sums in self._sums.items()
        }

    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Continue from a checkpoint."""
        for stage, sums in self._sums.items():
            sums.copy_(state[stage]["sums"])
            self._counts[stage] = state[stage]["passes"]

    def _read(self) -> None:
        if not self._unread:
            return
        read = torch.cat([values for _, _, values in self._unread]).double().cpu()
        sizes = [len(p.terms) for _, played, _ in self._unread for p in played]
        parts = iter(read.split_with_sizes(sizes))
        for step, played, _ in self._unread:
            for stage_pass in played:
                part = next(parts)
                if not part.isfinite().all():
                    _refuse(stage_pass, part, step)
                self._sums[stage_pass.stage.name] += part
                self._counts[stage_pass.stage.name] += 1
        self._unread.clear()


def _refuse(stage_pass: StagePass, values: Tensor, step: int) -> None:
    term = stage_pass.terms[int((~values.isfinite()).nonzero()[0])]
    players = ", ".join(p for p, weights in stage_pass.weights.items() if term in weights)
    raise RunFailed(
        f"term {term!r} of stage {stage_pass.stage.name!r} was not finite at iteration {step} "
        f"(descended by {players}); a smaller rate, a weight closer to the default, or "
        "clip_norm may help"
    )
