"""Exponential moving average of the weights of some players."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averaged copies of some parameters.

    After every iteration each average moves by `1 - decay` towards its parameter. The first
    iterations use the smaller decay `(1 + t) / (10 + t)`, so that the initialization is soon
    forgotten.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.averages = [parameter.detach().clone() for parameter in self.parameters]

    def update(self, step: int) -> None:
        """Move the averages towards the weights after iteration `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, [p.detach() for p in self.parameters], 1 - decay)

    def averaged(self, named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
        """Return the averages of those parameters that have one, by name."""
        averages = dict(zip(map(id, self.parameters), self.averages, strict=True))
        return {name: averages[id(p)] for name, p in named if id(p) in averages}

    @torch.no_grad()
    def install(self) -> None:
        """Overwrite the parameters with their averages."""
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            parameter.copy_(average)
