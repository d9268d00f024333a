"""Conditional WGAN with gradient penalty (Gulrajani et al., NeurIPS 2017, arXiv 1704.00028).

The critic's mean score of real images minus that of fakes estimates the Wasserstein distance of the
two distributions. It moves five times, on new batches, before the generator moves once. Its
gradient with respect to images between a real one and a fake one is kept near length 1.

Networks are fully connected and see the label beside their input. The critic has no batch norm,
since the penalty is one of each image by itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, ConditionalGenerator, Stage, draw_normal


def network(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Return a fully connected network with two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, outputs),
    )


class WGANGP(ConditionalGenerator):
    """A generator and a critic, which see the label as a one-hot code.

    Args:
        spec: Shape of the data.
        latent: Size of the noise.
        width: Size of the hidden layers.
    """

    stages = (
        Stage("critic", ("critic",), repeat=5),
        Stage("generator", ("generator",), fresh=False),  # it looks at no image, only at labels
    )
    objective = {
        "critic": {"distance": 1.0, "penalty": 10.0},
        "generator": {"score": 1.0},
    }
    optimizers = {"default": {"rate": 5e-4, "betas": [0.0, 0.9]}}

    def __init__(self, spec: DataSpec, *, latent: int = 32, width: int = 256) -> None:
        super().__init__()
        self.spec = spec
        self.latent = latent
        pixels = torch.Size(spec.shape).numel()
        self.generator = network(latent + spec.classes, width, pixels)
        self.critic = network(pixels + spec.classes, width, 1)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the losses of the critic, or that of the generator."""
        x, y = batch.x, batch.y
        fake = self.sample(y)
        of_fake = self.scores(fake, y)
        if stage == "generator":
            return {"score": -of_fake.mean()}
        share = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device)
        between = torch.lerp(x, fake, share)
        # A gradient inside of a loss: with create_graph it has gradients itself.
        (slopes,) = torch.autograd.grad(self.scores(between, y).sum(), between, create_graph=True)
        return {
            "distance": of_fake.mean() - self.scores(x, y).mean(),
            "penalty": (slopes.flatten(1).norm(dim=1) - 1).square().mean(),
        }

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the critic's scores `[B, 1]` of images with labels `[B]`."""
        scores: Tensor = self.critic(self.with_label(x.flatten(1), y))
        return scores.float()

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Turn standard normal noise and labels into images."""
        z = draw_normal(len(y), self.latent, device=y.device, generator=generator)
        pixels: Tensor = self.generator(self.with_label(z, y))
        return pixels.tanh().view(len(y), *self.spec.shape)

    def with_label(self, features: Tensor, y: Tensor) -> Tensor:
        """Return features `[B, D]` with the one-hot label beside them."""
        return torch.cat([features, F.one_hot(y, self.spec.classes).to(features)], dim=1)
