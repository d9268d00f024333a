"""A diffusion model (Ho et al., NeurIPS 2020, arXiv 2006.11239) with classifier-free guidance.

A network learns to tell the noise in images that were noised to any of 1000 degrees. Sampling
starts with noise and removes a part of it at each step. In training the network does not see the
label of some images (Ho & Salimans, 2022, arXiv 2207.12598), so that sampling can push images away
from those without label: `guidance`, an option of sampling as are the `steps`.

Departures: a small U-Net without attention; sampling may leave out times (Nichol & Dhariwal, ICML
2021, arXiv 2102.09672), with the posterior of the times that are left, and bounds its images.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, ConditionalGenerator, Stage

TIMES = 1000
WAVES = 16  # frequencies in which the network sees the time


class Block(nn.Module):
    """A residual block from `a` to `b` channels that is shifted by a code of time and label."""

    def __init__(self, a: int, b: int, code: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.GroupNorm(8, a), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1))
        self.shift = nn.Linear(code, b)
        self.after = nn.Sequential(nn.GroupNorm(8, b), nn.SiLU(), nn.Conv2d(b, b, 3, padding=1))
        self.skip = nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = self.before(x) + self.shift(code)[:, :, None, None]
        return self.skip(x) + self.after(h)


class UNet(nn.Module):
    """The noise in noised images, given time and label."""

    def __init__(self, spec: DataSpec, width: int, halvings: int) -> None:
        super().__init__()
        channels, code = spec.shape[0], 4 * width
        sizes = [width * min(2**level, 4) for level in range(halvings + 1)]
        self.time = nn.Sequential(nn.Linear(2 * WAVES, code), nn.SiLU(), nn.Linear(code, code))
        self.label = nn.Embedding(spec.classes + 1, code)  # the last row stands for no label
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(map(Block, [width, *sizes], sizes, [code] * len(sizes)))
        self.middle = Block(sizes[-1], sizes[-1], code)
        above = [width, *sizes[:-1]]
        self.up = nn.ModuleList(Block(2 * b, a, code) for a, b in zip(above, sizes, strict=True))
        self.last = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return `[B, C, H, W]` for images of that shape, times `[B]` and labels `[B]`."""
        angles = t[:, None] / TIMES * 200 ** torch.linspace(0, 1, WAVES, device=t.device)
        code = F.silu(self.time(torch.cat((angles.cos(), angles.sin()), dim=1)) + self.label(y))
        h, skips = self.first(x), []
        for level, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2) if level else h, code)
            skips.append(h)
        h = self.middle(h, code)
        for level, block in reversed(list(enumerate(self.up))):
            h = block(torch.cat((h, skips[level]), dim=1), code)
            h = F.interpolate(h, scale_factor=2.0) if level else h
        return self.last(h)


class Diffusion(ConditionalGenerator):
    """A diffusion model that predicts noise.

    Args:
        spec: Shape of the data: images whose sides the network can halve.
        width: Channels at full size.
        halvings: How often the network halves an image.
        label_dropout: Probability that training hides the label of an example.
    """

    stages = (Stage("main", ("network",)),)
    objective = {"network": {"noise": 1.0}}
    optimizers = {"default": {"rate": 2e-3, "schedule": {"name": "linear"}}}
    average = {"decay": 0.99}

    def __init__(
        self, spec: DataSpec, *, width: int = 32, halvings: int = 1, label_dropout: float = 0.1
    ) -> None:
        super().__init__()
        if not spec.is_image or any(side % 2**halvings for side in spec.shape[1:]):
            raise ValueError(f"examples of shape {spec.shape} cannot be halved {halvings} times")
        self.spec, self.label_dropout = spec, label_dropout
        self.network = UNet(spec, width, halvings)
        # The share of the image's variance that is left at each time; 1 before the first.
        betas = torch.cat((torch.zeros(1), torch.linspace(1e-4, 0.02, TIMES)))
        self.register_buffer("signal", (1 - betas).cumprod(0), persistent=False)

    def noised(self, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return draws of `q(x_t | x_0)` (Eq. 4) made of noise, at times `[B]` from 0 to `TIMES`."""
        signal = self.signal[t].view(-1, 1, 1, 1)
        return signal.sqrt() * x + (1 - signal).sqrt() * noise

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the simple loss (Eq. 14)."""
        x, y, _ = batch
        noise, t = torch.randn_like(x), torch.randint(1, TIMES + 1, y.shape, device=y.device)
        is_hidden = torch.rand(y.shape, device=y.device) < self.label_dropout
        predicted = self.network(self.noised(x, noise, t), t, y.where(~is_hidden, self.spec.classes))
        return {"noise": F.mse_loss(predicted, noise)}

    def predicted_noise(self, x: Tensor, t: Tensor, y: Tensor, guidance: float) -> Tensor:
        """Return the noise in images, extrapolated away from what it is without label."""
        conditional = self.network(x, t, y)
        if guidance == 1:
            return conditional
        unconditional = self.network(x, t, torch.full_like(y, self.spec.classes))
        return torch.lerp(unconditional, conditional, guidance)

    def posterior_moments(self, x: Tensor, image: Tensor, t: int, s: int) -> tuple[Tensor, Tensor]:
        """Return mean and variance of `q(x_s | x_t, x_0)` for `s < t` (Eq. 6, 7 if `s = t - 1`)."""
        left, before = self.signal[t], self.signal[s]
        alpha = left / before
        of_image = before.sqrt() * (1 - alpha) / (1 - left)
        of_x = alpha.sqrt() * (1 - before) / (1 - left)
        return of_image * image + of_x * x, (1 - before) * (1 - alpha) / (1 - left)

    def sample(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        guidance: float = 1.0,
        steps: int = 50,
    ) -> Tensor:
        """Remove noise step by step (Algorithm 2).

        Args:
            y: Labels `[B]`.
            generator: Source of the noise.
            guidance: Scale of classifier-free guidance; none where 1.
            steps: Number of times that are visited, at most `TIMES`; each evaluates the network
                once, with guidance twice.

        Returns:
            Images `[B, C, H, W]`.

        Raises:
            ValueError: If a value is out of range, or guidance needs a training that hid labels.
        """
        if not 1 <= steps <= TIMES:
            raise ValueError(f"steps must be from 1 to {TIMES}, got {steps}")
        if guidance != 1 and not self.label_dropout:
            raise ValueError("guidance other than 1 needs a model trained with label_dropout")
        source = y.device if generator is None else generator.device
        shape = (len(y), *self.spec.shape)
        x = torch.randn(shape, generator=generator, device=source).to(y.device)
        times = [round(TIMES * step / steps) for step in range(steps, -1, -1)]
        for t, s in zip(times, times[1:], strict=False):
            noise = self.predicted_noise(x, torch.full_like(y, t), y, guidance)
            left = self.signal[t]
            image = ((x - (1 - left).sqrt() * noise) / left.sqrt()).clamp(-1, 1)
            mean, variance = self.posterior_moments(x, image, t, s)
            fresh = torch.randn(shape, generator=generator, device=source).to(y.device)
            x = mean + variance.sqrt() * fresh
        return x
