"""Auxiliary-classifier GAN (Odena, Olah & Shlens, ICML 2017, arXiv 1610.09585).

The discriminator has two heads: one says whether an image is real, one says of which class it is.
It never sees the label. The generator is told what to draw, and both players descend the
classifier's loss on fakes: they agree about the class, and disagree about what is real.

The generator's network is the one that the models of bench share. The discriminator has dropout
instead of batch norm, which would tell real images from fakes by the statistics of their batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, ConditionalGenerator, Positive, Stage, draw_normal
from models import backbones


class Discriminator(nn.Module):
    """Convolutions, then a logit for "real" and one for each class."""

    def __init__(self, spec: DataSpec, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((spec.shape[0], 32), (32, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout(dropout)]
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 64, 1 + spec.classes)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of "real" `[B]` and of the classes `[B, K]`."""
        logits = self.layers(x).float()
        return logits[:, 0], logits[:, 1:]


class ACGAN(ConditionalGenerator):
    """A generator, and a discriminator that also classifies.

    Args:
        spec: Shape of the data.
        latent: Size of the noise.
        width: Multiplier of the generator's layer sizes.
        dropout: Share of the discriminator's features that a pass leaves out.
    """

    stages = (Stage("main", ("generator", "discriminator")),)
    objective = {
        "generator": {"fool": 1.0, "classify_fake": 1.0},
        "discriminator": {"discriminate": 1.0, "classify_real": 1.0, "classify_fake": 1.0},
    }

    def __init__(
        self, spec: DataSpec, *, latent: int = 16, width: Positive = 0.5, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.classes = spec.classes
        self.latent = latent
        self.generator = backbones.decoder(spec, "auto", width, latent + spec.classes)
        self.discriminator = Discriminator(spec, dropout)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the losses of both players, from one batch of fakes with random labels."""
        y_fake = torch.randint(self.classes, batch.y.shape, device=batch.y.device)
        real, class_of_real = self.discriminator(batch.x)
        fake, class_of_fake = self.discriminator(self.sample(y_fake))
        return {
            "discriminate": F.softplus(-real).mean() + F.softplus(fake).mean(),
            "fool": F.softplus(-fake).mean(),
            "classify_real": F.cross_entropy(class_of_real, batch.y),
            "classify_fake": F.cross_entropy(class_of_fake, y_fake),
        }

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Turn standard normal noise and labels into images."""
        z = draw_normal(len(y), self.latent, device=y.device, generator=generator)
        image: Tensor = self.generator(torch.cat([z, F.one_hot(y, self.classes).to(z)], dim=1))
        return image

    def class_logits(self, x: Tensor) -> Tensor:
        """Return the discriminator's opinion of the class `[B, K]`."""
        logits: Tensor = self.discriminator(x)[1]
        return logits
