"""Updates of weights: optimizers, learning-rate schedules, and averages."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.spec.completion.schedule_functions import call_schedule
from bench.spec.run_settings import (
    SGD,
    Adam,
    AdamW,
    Cosine,
    Drop,
    FunctionSchedule,
    Linear,
    Piecewise,
    Schedule,
    Staircase,
)

CLASSES = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def schedule_factor(schedule: Schedule, step: int, *, iterations: int, epoch: int) -> float:
    """Return the factor of the rate at an iteration, counted from 0.

    `iterations` is the length of the run, `epoch` the iterations in which one batch each makes a
    pass over the training images; a model that draws three batches an iteration makes three passes.

    >>> two_epochs = Drop(name="drop", at=2.0, factor=0.01, unit="epochs")
    >>> [schedule_factor(two_epochs, s, iterations=99, epoch=10) for s in (0, 19, 20)]
    [1.0, 1.0, 0.01]
    >>> tenth = Staircase(name="staircase", every=10.0, factor=0.1)
    >>> round(schedule_factor(tenth, 25, iterations=99, epoch=10), 6)
    0.01
    >>> warm = Linear(name="linear", start=0.5, warmup=0.1, unit="share")
    >>> [schedule_factor(warm, s, iterations=100, epoch=10) for s in (0, 5, 10, 50, 75)]
    [0.0, 0.5, 1.0, 1.0, 0.5]
    """
    unit = {"iterations": 1, "epochs": epoch, "share": iterations}[schedule.unit]
    factor = _planned_factor(schedule, step, iterations, epoch, unit)
    return factor * step / (schedule.warmup * unit) if step < schedule.warmup * unit else factor


def _planned_factor(schedule: Schedule, step: int, iterations: int, epoch: int, unit: int) -> float:
    """Return the factor apart from the warm-up; `unit` is in iterations."""
    match schedule:
        case Drop():
            return schedule.factor if step >= schedule.at * unit else 1.0
        case Staircase():
            return float(schedule.factor ** int(step // (schedule.every * unit)))
        case Linear() | Cosine():
            start = schedule.start * unit
            if step <= start:
                return 1.0
            way = (step - start) / (iterations - start)
            if isinstance(schedule, Cosine):
                way = (1 - math.cos(math.pi * way)) / 2
            return 1.0 + (schedule.final - 1.0) * way
        case Piecewise():
            times, factors = zip(*schedule.points, strict=True)
            return float(np.interp(step / unit, times, factors))
        case FunctionSchedule():
            return call_schedule(schedule, step, iterations=iterations, epoch=epoch)
    return 1.0


class PlayerOptimizer:
    """A player's optimizer: its own moments, its own rate.

    Its schedule runs from the iteration `start` on, for `iterations` of them; `epoch` is as for
    `schedule_factor`. If steps can be captured in a CUDA graph
    (`capturable`), the rate lies on the device, as float32, where a replay reads it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        settings: Adam | AdamW | SGD,
        *,
        iterations: int,
        epoch: int,
        start: int = 0,
        capturable: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.start = start
        self.settings = settings
        self.iterations = iterations
        self.epoch = epoch
        device = self.parameters[0].device
        rate = torch.tensor(settings.rate, device=device) if capturable else settings.rate
        options = settings.model_dump(exclude={"name", "rate", "schedule"})
        if settings.name != "sgd":
            options["capturable"] = capturable
        # Fused kernels exist for CPU and CUDA alike, and spare one pass over memory an operation.
        self.torch_optimizer: torch.optim.Optimizer = CLASSES[settings.name](
            self.parameters, lr=rate, fused=True, **options
        )
        # torch would warn of steps before a capture, which are not a mistake.
        self.torch_optimizer._warned_capturable_if_run_uncaptured = capturable
        self._rate = settings.rate

    def set_rate(self, step: int) -> None:
        """Set the rate that the schedule has at an iteration of the run."""
        elapsed = step - self.start
        if not 0 <= elapsed < self.iterations:  # the player does not move
            return
        factor = schedule_factor(
            self.settings.schedule, elapsed, iterations=self.iterations, epoch=self.epoch
        )
        if (rate := self.settings.rate * factor) == self._rate:
            return
        self._rate = rate
        for group in self.torch_optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def step(self, gradients: list[Tensor], clip_norm: float | None) -> None:
        """Move the player once, at the present rate, by a gradient for each of its parameters.

        `clip_norm` bounds the norm of all gradients together.
        """
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = with_strides_of(parameter, gradient)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, clip_norm)
        self.torch_optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def moments(self, name: str) -> list[Tensor]:
        """Return the moments of that name that parameters have, flat."""
        states = self.torch_optimizer.state.values()
        return [state[name].flatten() for state in states if name in state]

    def restore(self, state: dict[str, Any]) -> None:
        """Take the moments from a checkpoint's `state_dict`, but keep the settings."""
        groups = self.torch_optimizer.state_dict()["param_groups"]
        self.torch_optimizer.load_state_dict({**state, "param_groups": groups})
        for parameter, moments in self.torch_optimizer.state.items():
            for name, value in moments.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    moments[name] = with_strides_of(parameter, value)


def with_strides_of(parameter: Tensor, value: Tensor) -> Tensor:
    """Return a value whose elements lie in memory in a parameter's order.

    Fused optimizers pair elements by their place in memory and do not look at strides, so they
    would silently give a transposed gradient to the wrong weights.
    """
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter).copy_(value)


class MovingAverage:
    """Averaged copies of some parameters.

    After every iteration each average moves by `1 - decay` towards its parameter. The first
    iterations from `start` on use the smaller decay `(1 + t) / (10 + t)`, so that the
    initialization is soon forgotten. `capturable` is as for `PlayerOptimizer`.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        decay: float,
        *,
        start: int = 0,
        capturable: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.decay, self.start = decay, start
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self._share = 1.0  # of the way that an update moves
        self._share_on_device = self.averages[0].new_ones(()) if capturable else None

    def set_step(self, step: int) -> None:
        """Set how far the next update moves: that after iteration `step`, counted from 0."""
        moves = max(0, step - self.start)
        share = 1 - min(self.decay, (1 + moves) / (10 + moves))
        if share == self._share:
            return
        self._share = share
        if self._share_on_device is not None:
            self._share_on_device.fill_(share)

    def update(self) -> None:
        """Move the averages towards the weights."""
        weights = [parameter.detach() for parameter in self.parameters]
        if self._share_on_device is None:
            torch._foreach_lerp_(self.averages, weights, self._share)
        else:
            torch._foreach_lerp_(self.averages, weights, [self._share_on_device] * len(weights))

    def averaged(self, named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
        """Return the averages of those parameters that have one, by name."""
        averages = dict(zip(map(id, self.parameters), self.averages, strict=True))
        return {name: averages[id(p)] for name, p in named if id(p) in averages}

    @torch.no_grad()
    def install(self) -> None:
        """Overwrite the parameters with their averages."""
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            parameter.copy_(average)
