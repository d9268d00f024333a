"""Optimizers from data, and learning-rate schedules as pure functions of the step."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from bench.settings import SGD, Adam, AdamW, Constant, Drop, Linear, Staircase


def rate_factor(
    schedule: Constant | Drop | Staircase | Linear,
    step: int,
    *,
    iterations: int,
    epoch: int,
) -> float:
    """Return what a schedule multiplies the rate with at one step.

    Args:
        schedule: The schedule.
        step: Iteration, from 0.
        iterations: Length of the run.
        epoch: Iterations that one pass over the training images takes.

    Returns:
        A factor, 1 at the start of most schedules.

    Example:
        >>> two_epochs = Drop(name="drop", at=2.0, factor=0.01, unit="epochs")
        >>> [rate_factor(two_epochs, s, iterations=99, epoch=10) for s in (0, 19, 20)]
        [1.0, 1.0, 0.01]
        >>> tenth = Staircase(name="staircase", every=10.0, factor=0.1)
        >>> round(rate_factor(tenth, 25, iterations=99, epoch=10), 6)
        0.01
        >>> rate_factor(Linear(name="linear"), 50, iterations=100, epoch=10)
        0.5
    """
    if isinstance(schedule, Constant):
        return 1.0
    unit = epoch if schedule.unit == "epochs" else 1
    if isinstance(schedule, Drop):
        return schedule.factor if step >= schedule.at * unit else 1.0
    if isinstance(schedule, Staircase):
        return float(schedule.factor ** int(step // (schedule.every * unit)))
    start = schedule.start * unit
    if step <= start:
        return 1.0
    return 1.0 + (schedule.final - 1.0) * (step - start) / (iterations - start)


class PlayerOptimizer:
    """One player's optimizer: its own moments, its own rate.

    Args:
        parameters: What the player moves.
        settings: The optimizer and its schedule.
        iterations: Length of the run.
        epoch: Iterations that one pass over the training images takes.
        replicas: Number of runs that are trained as one, the first dimension of all parameters;
            None where a run is alone.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        settings: Adam | AdamW | SGD,
        *,
        iterations: int,
        epoch: int,
        replicas: int | None = None,
    ) -> None:
        self.parameters = list(parameters)
        self.settings = settings
        self.iterations = iterations
        self.epoch = epoch
        self._clip = nn.utils.clip_grad_norm_ if replicas is None else clip_each_replica
        self.torch_optimizer = _build(self.parameters, settings)

    def step(self, gradients: list[torch.Tensor], step: int, clip_norm: float | None) -> None:
        """Move the player once.

        Args:
            gradients: One gradient a parameter, in their order.
            step: Iteration, for the schedule.
            clip_norm: Largest norm of the gradients of a run taken together; unbounded where None.
        """
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # Fused optimizers walk through memory: strides must be those of the parameter.
            like = gradient.stride() == parameter.stride()
            parameter.grad = gradient if like else torch.empty_like(parameter).copy_(gradient)
        if clip_norm is not None:
            self._clip(self.parameters, clip_norm)
        factor = rate_factor(
            self.settings.schedule, step, iterations=self.iterations, epoch=self.epoch
        )
        for group in self.torch_optimizer.param_groups:
            group["lr"] = self.settings.rate * factor
        self.torch_optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None


def clip_each_replica(parameters: Iterable[nn.Parameter], clip_norm: float) -> None:
    """Bound the norm of each replica's gradients, as `clip_grad_norm_` does for a run alone.

    Args:
        parameters: Stacked parameters `[R, ...]` with their gradients.
        clip_norm: Largest norm.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    factors = (clip_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


def _build(parameters: list[nn.Parameter], settings: Adam | AdamW | SGD) -> torch.optim.Optimizer:
    if isinstance(settings, SGD):
        return torch.optim.SGD(
            parameters,
            lr=settings.rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )
    # Fused kernels exist for CPU and CUDA alike, and spare one pass over memory an operation.
    common: dict[str, Any] = {
        "lr": settings.rate,
        "betas": settings.betas,
        "eps": settings.eps,
        "fused": True,
    }
    if isinstance(settings, AdamW):
        return torch.optim.AdamW(parameters, weight_decay=settings.weight_decay, **common)
    return torch.optim.Adam(parameters, **common)
