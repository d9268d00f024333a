"""A diffusion model (Ho et al., NeurIPS 2020, arXiv 2006.11239) with classifier-free guidance.

A network learns to tell the noise in images that are noised to one of 1000 degrees. Sampling starts
with noise and removes a part of it in each step. Training hides the labels of some images, so that
sampling can move away from what has no label (Ho & Salimans, 2022, arXiv 2207.12598).

Departures: a small U-Net without attention; steps may leave out times, with the posterior of those
that are left (Nichol & Dhariwal, ICML 2021, arXiv 2102.09672).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, ConditionalGenerator, Stage, draw_normal

TIMES = 1000
WAVES = 16  # frequencies in which the network sees the time


class Block(nn.Module):
    """A residual block from `a` to `b` channels, shifted by a code of time and label."""

    def __init__(self, a: int, b: int, code: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.GroupNorm(8, a), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1))
        self.shift = nn.Linear(code, b)
        self.after = nn.Sequential(nn.GroupNorm(8, b), nn.SiLU(), nn.Conv2d(b, b, 3, padding=1))
        self.skip = nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Return `[B, b, H, W]` for `[B, a, H, W]` and codes `[B, code]`."""
        shifted = self.before(x) + self.shift(code)[:, :, None, None]
        out: Tensor = self.skip(x) + self.after(shifted)
        return out


class UNet(nn.Module):
    """The noise in images, on two scales."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        code = 4 * width
        self.time = nn.Sequential(nn.Linear(2 * WAVES, code), nn.SiLU(), nn.Linear(code, code))
        self.label = nn.Embedding(classes + 1, code)  # the last row stands for no label
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.down = Block(width, width, code)
        self.coarse = nn.ModuleList([Block(width, code // 2, code), Block(code // 2, width, code)])
        self.up = Block(2 * width, width, code)
        self.last = nn.Sequential(nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return `[B, C, H, W]` for images of that shape, times `[B]` and labels `[B]`."""
        angles = t[:, None] / TIMES * 200 ** torch.linspace(0, 1, WAVES, device=t.device)
        code = F.silu(self.time(torch.cat((angles.cos(), angles.sin()), dim=1)) + self.label(y))
        fine = self.down(self.first(x), code)
        coarse = F.avg_pool2d(fine, 2)
        for block in self.coarse:
            coarse = block(coarse, code)
        out = self.up(torch.cat((fine, F.interpolate(coarse, scale_factor=2.0)), dim=1), code)
        noise: Tensor = self.last(out)
        return noise


class Diffusion(ConditionalGenerator):
    """A diffusion model that predicts noise.

    Args:
        spec: Shape of the data: images, with even sides.
        width: Channels at full size, a multiple of 8.
        label_dropout: Probability that training hides the label of an example.
    """

    signal: Tensor

    stages = (Stage("main", ("network",)),)
    objective = {"network": {"noise": 1.0}}
    optimizers = {"default": {"rate": 2e-3, "schedule": {"name": "cosine", "warmup": 40}}}
    average = {"decay": 0.99}

    def __init__(self, spec: DataSpec, *, width: int = 32, label_dropout: float = 0.1) -> None:
        super().__init__()
        if not spec.is_image or any(side % 2 for side in spec.shape[1:]):
            raise ValueError(f"needs images with even sides, not examples of shape {spec.shape}")
        self.spec, self.label_dropout = spec, label_dropout
        self.network = UNet(spec.shape[0], spec.classes, width)
        betas = torch.cat((torch.zeros(1), torch.linspace(1e-4, 0.02, TIMES)))
        self.register_buffer("signal", (1 - betas).cumprod(0))  # 1 at time 0, then Ho's alpha bar

    def noised(self, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Turn standard normal noise into a draw of `q(x_t | x_0)` (Eq. 4), at times `[B]`."""
        signal = self.signal[t].view(-1, 1, 1, 1)
        return signal.sqrt() * x + (1 - signal).sqrt() * noise

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the error of the predicted noise (Eq. 14)."""
        x, y, _ = batch
        noise, t = torch.randn_like(x), torch.randint(1, TIMES + 1, y.shape, device=y.device)
        is_hidden = torch.rand(y.shape, device=y.device) < self.label_dropout
        seen = torch.where(is_hidden, self.spec.classes, y)
        return {"noise": F.mse_loss(self.network(self.noised(x, noise, t), t, seen), noise)}

    def predict(self, x: Tensor, t: Tensor, y: Tensor, guidance: float) -> Tensor:
        """Return the noise in images, moved away from what it is without label."""
        conditional: Tensor = self.network(x, t, y)
        if guidance == 1:
            return conditional
        unconditional = self.network(x, t, torch.full_like(y, self.spec.classes))
        return torch.lerp(unconditional, conditional, guidance)

    def step_back(self, x: Tensor, image: Tensor, t: int, s: int) -> tuple[Tensor, Tensor]:
        """Return mean and variance of `q(x_s | x_t, x_0)`, `s < t`: Eq. 6 and 7 if `s = t - 1`."""
        at_t, at_s = self.signal[t], self.signal[s]
        alpha = at_t / at_s
        of_image, of_x = at_s.sqrt() * (1 - alpha), alpha.sqrt() * (1 - at_s)
        mean = (of_image * image + of_x * x) / (1 - at_t)
        return mean, (1 - alpha) * (1 - at_s) / (1 - at_t)

    def sample(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        guidance: float = 1.0,
        steps: int = 25,
    ) -> Tensor:
        """Remove noise in some steps (Algorithm 2); guidance 1 is none, and costs half as much."""
        if not 1 <= steps <= TIMES:
            raise ValueError(f"steps must be from 1 to {TIMES}, got {steps}")
        if guidance != 1 and not self.label_dropout:
            raise ValueError("guidance other than 1 needs a model trained with label_dropout")
        shape = (len(y), *self.spec.shape)
        x = draw_normal(*shape, device=y.device, generator=generator)
        for t, s in pairwise(round(TIMES * left / steps) for left in range(steps, -1, -1)):
            noise = self.predict(x, torch.full_like(y, t), y, guidance)
            image = (x - (1 - self.signal[t]).sqrt() * noise) / self.signal[t].sqrt()
            mean, variance = self.step_back(x, image.clamp(-1, 1), t, s)
            fresh = draw_normal(*shape, device=y.device, generator=generator)
            x = mean + variance.sqrt() * fresh
        return x
