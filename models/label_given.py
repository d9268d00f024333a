"""A VAE that is told the label: what cVAE and cVAE-GAN have in common."""

from typing import ClassVar

import torch
from torch import Tensor

from bench.training.interface import Batch, Code, ConditionalGenerator, Posterior
from models import terms
from models.backbones import Encoder
from models.blocks import normal, one_hot


class LabelGivenVAE(ConditionalGenerator):
    """Encoder `q(z | x, y)`, decoder `p(x | z, y)`, and a standard normal code for every class.

    A subclass sets the four attributes and says who descends what.

    Attributes:
        title: Its name in messages.
        classes: Number of labels, `K`.
        latent: Size of the code, `D`.
        encoder: From examples and labels to means and log-variances `[B, 2 * D]`.
        decoder: From codes with one-hot labels `[B, D + K]` to examples.
    """

    title: ClassVar[str]
    classes: int
    latent: int
    encoder: Encoder
    decoder: torch.nn.Sequential

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode standard normal draws with the labels."""
        weight = next(self.decoder.parameters())
        return self._decode(normal(len(y), self.latent, like=weight, generator=generator), y)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the posterior mean as the irrelevant code; needs `y`, the relevant one itself."""
        if y is None:
            raise ValueError(f"{self.title} needs labels to encode: its encoder is q(z | x, y)")
        return Code(None, self.encoder(x, y).chunk(2, dim=1)[0])

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussian of the code; needs `y`."""
        if y is None:
            raise ValueError(f"{self.title} needs labels for its posterior, q(z | x, y)")
        mean, logvar = self.encoder(x, y).chunk(2, dim=1)
        return Posterior(None, (mean, logvar.exp()))

    def class_prior(self) -> None:
        """Return None: the label itself is the relevant code."""

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of irrelevant codes and labels; needs both."""
        if y is None or code.irrelevant is None:
            raise ValueError(
                f"{self.title} needs labels and an irrelevant code to decode: p(x | z, y)"
            )
        return self._decode(code.irrelevant, y)

    def _reconstruct(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return decoded posterior draws of a batch, and both halves of the bound (Eq. 1 and 3)."""
        mean, logvar = terms.widen(self.encoder(batch.x, batch.y)).chunk(2, dim=1)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        reconstruction = self._decode(z, batch.y)
        return reconstruction, {
            "reconstruct": terms.reconstruct(batch.x, reconstruction),
            "kl": terms.kl_to_standard_normal(mean, logvar),
        }

    def _decode(self, z: Tensor, y: Tensor) -> Tensor:
        image: Tensor = self.decoder(torch.cat((z, one_hot(y, self.classes)), dim=1))
        return image
