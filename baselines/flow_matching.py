"""Conditional flow matching on straight paths, for comparison with a modern method.

Lipman et al. (ICLR 2023, arXiv 2210.02747), rectified as by Liu et al. (ICLR 2023, arXiv
2209.03003): a network regresses the velocity that carries noise to images in straight lines, and
sampling integrates it.

Departures: paths end in the image itself, without a smallest deviation; times are logit-normal
(Esser et al., ICML 2024, arXiv 2403.03206); no second training straightens paths; steps are fixed;
the U-Net is small, without attention, since its kernels cover all of a 4x4 map; Adam has momentum
and a falling rate. Sampling takes `steps` of the solver and `guidance` (Ho & Salimans, 2022), which
other than 1 needs training with `label_dropout`, say 0.1.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import (
    AtLeastOne,
    Batch,
    BelowOne,
    ConditionalGenerator,
    Objective,
    OptimizerTable,
    Positive,
    Stage,
)
from models import backbones, terms
from models.blocks import normal

MLP = (32, 32)  # features for points
WAVES = 16  # frequencies, 1 to 200, in which the network sees the time


def flow_match(velocity: Tensor, noise: Tensor, x: Tensor) -> Tensor:
    r"""Squared distance of a velocity from that of the straight path between noise and example.

    .. math:: \tfrac1N \lVert v(x_t, t, y) - (x_1 - x_0) \rVert_2^2, \qquad
              x_t = (1 - t) \, x_0 + t \, x_1

    Lipman et al. (2023), Eq. 23 with a smallest deviation of 0; Liu et al. (2023), Eq. 1. A mean
    over all `N` elements of an example, as in `reconstruct`; all shapes are `[B, ...]`.

    >>> flow_match(torch.zeros(2, 3), torch.ones(2, 3), torch.full((2, 3), 3.0)).item()
    4.0
    """
    return F.mse_loss(terms.widen(velocity), terms.widen(x - noise))


def integrate(velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, steps: int) -> Tensor:
    """Carry states `[B, ...]` along a velocity from time 0 to 1, by the midpoint rule.

    The velocity is a function of states `[B, ...]` and times `[B]`, called twice in each step.
    """
    for step in range(steps):
        t = x.new_full((len(x),), step / steps)
        middle = x + velocity(x, t) / (2 * steps)
        x = x + velocity(middle, t + 1 / (2 * steps)) / steps
    return x


def _layer(a: int, b: int, image: bool, kernel: int = 3) -> nn.Conv2d | nn.Linear:
    return nn.Conv2d(a, b, kernel, padding=kernel // 2) if image else nn.Linear(a, b)


class Block(nn.Module):
    """A residual block from `a` to `b` channels, scaled and shifted by a code of time and label."""

    def __init__(self, a: int, b: int, code: int, image: bool) -> None:
        super().__init__()
        groups = 8 if image else 1
        self.before = nn.Sequential(nn.GroupNorm(groups, a), nn.SiLU(), _layer(a, b, image))
        self.norm = nn.GroupNorm(groups, b)
        self.modulate = nn.Linear(code, 2 * b)
        self.after = _layer(b, b, image)
        self.skip = nn.Identity() if a == b else _layer(a, b, image, kernel=1)
        nn.init.zeros_(self.after.weight)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Return `[B, b, ...]` for `[B, a, ...]` and codes `[B, code]`."""
        scale, shift = self.modulate(code).view(len(x), -1, *[1] * (x.ndim - 2)).chunk(2, dim=1)
        h = self.norm(self.before(x)) * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.after(F.silu(h))
        return out


class Velocity(nn.Module):
    """The velocity `v(x, t, y)`: a U-Net down to 4x4, or the same in one scale for points."""

    def __init__(self, spec: DataSpec, width: float) -> None:
        super().__init__()
        self.image = image = backbones.family(spec, "auto") != "mlp"
        base = backbones.CONV_CRITIC[: backbones.halvings(spec)] if image else MLP
        sizes = backbones.scaled(base, width)
        bottom, top, code = sizes[0], sizes[-1], sizes[-1]  # channels, and the size of the code
        self.time = nn.Sequential(nn.Linear(2 * WAVES, code), nn.SiLU(), nn.Linear(code, code))
        self.label = nn.Embedding(spec.classes + 1, code)  # the last row stands for no label
        self.first = _layer(spec.shape[0], bottom, image)
        self.down = nn.ModuleList(Block(a, b, code, image) for a, b in pairwise((bottom, *sizes)))
        self.middle = Block(top, top, code, image)
        self.up = nn.ModuleList(Block(a + b, b, code, image) for a, b in pairwise(sizes[::-1]))
        self.norm = nn.GroupNorm(8 if image else 1, bottom)
        self.last = _layer(bottom, spec.shape[0], image)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return velocities `[B, ...]` at states `[B, ...]`, times `[B]` and labels `[B]`."""
        angles = t[:, None] * 200 ** torch.linspace(0, 1, WAVES, dtype=t.dtype, device=t.device)
        code = F.silu(self.time(torch.cat((angles.cos(), angles.sin()), dim=1)) + self.label(y))
        h, skips = self.first(x), []
        for level, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2) if self.image and level else h, code)
            skips.append(h)
        h = self.middle(skips.pop(), code)
        for block in self.up:
            h = F.interpolate(h, scale_factor=2.0) if self.image else h
            h = block(torch.cat((h, skips.pop()), dim=1), code)
        out: Tensor = self.last(F.silu(self.norm(h)))
        return out


class FlowMatching(ConditionalGenerator):
    """Conditional flow matching.

    Args:
        spec: Shape of the data.
        width: Multiplier of the layer sizes.
        label_dropout: Probability that training hides the label of an example.
    """

    stages = (Stage("main", ("velocity",)),)
    objective: Objective = {"velocity": {"flow_match": 1.0}}
    optimizers: OptimizerTable = {
        "default": {"rate": 1e-3, "betas": (0.9, 0.99), "schedule": {"name": "linear"}}
    }

    moved_options: ClassVar[Mapping[str, object]] = {"steps": 10, "guidance": 1.0}

    def __init__(
        self, spec: DataSpec, *, width: Positive = 1.0, label_dropout: BelowOne = 0.0
    ) -> None:
        super().__init__()
        self.spec, self.label_dropout = spec, label_dropout
        self.velocity = Velocity(spec, width)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the error of the velocity at a logit-normal time for each example."""
        x, like = batch.x, batch.x.flatten(1)[:, 0]
        noise, t = torch.randn_like(x), torch.randn_like(like).sigmoid()
        y = torch.where(torch.rand_like(like) < self.label_dropout, self.spec.classes, batch.y)
        x_t = torch.lerp(noise, x, t.view(-1, *[1] * (x.ndim - 1)))
        return {"flow_match": flow_match(self.velocity(x_t, t, y), noise, x)}

    def sample(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        steps: AtLeastOne = 10,
        guidance: Positive = 1.0,
    ) -> Tensor:
        """Carry standard normal draws along the velocities of the labels.

        Args:
            y: Labels `[B]`.
            generator: Source of the draws.
            steps: Steps of the solver; each evaluates the network twice, with guidance four times.
            guidance: Scale of classifier-free guidance; none where 1.

        Returns:
            Images `[B, C, H, W]` or points `[B, D]`.

        Raises:
            ValueError: If guidance needs a training that hid labels.
        """
        if guidance != 1 and not self.label_dropout:
            raise ValueError("guidance other than 1 needs a model trained with label_dropout")
        shape, weight = self.spec.shape, next(self.parameters())
        noise = normal(len(y), math.prod(shape), like=weight, generator=generator).view(-1, *shape)
        x = integrate(lambda x, t: self._guided(x, t, y, guidance), noise, steps)
        return x.clamp(-1, 1) if self.spec.is_image else x

    def _guided(self, x: Tensor, t: Tensor, y: Tensor, guidance: float) -> Tensor:
        """Return `v(x, t) + guidance (v(x, t, y) - v(x, t))`, where `v(x, t)` has no label."""
        conditional: Tensor = self.velocity(x, t, y)
        if guidance == 1:
            return conditional
        unconditional = self.velocity(x, t, torch.full_like(y, self.spec.classes))
        return torch.lerp(unconditional, conditional, guidance)
