"""A VAE whose encoder and decoder both see the label: what cVAE and cVAE-GAN have in common."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Code, ConditionalGenerator, Posterior
from models import backbones, terms
from models.blocks import normal, one_hot, parameters_of


class LabelConditionedVAE(ConditionalGenerator):
    """Encoder `q(z | x, y)`, decoder `p(x | z, y)`, and a standard normal code for every class.

    A subclass says which terms there are, and who descends what.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.

    Attributes:
        title: Name of the method in messages.
    """

    title: ClassVar[str]
    capabilities: ClassVar[tuple[str, ...]] = ("encode",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: float = 1.0,
        latent: int | None = None,
    ) -> None:
        super().__init__()
        self.classes = spec.classes
        self.latent = backbones.code_sizes(spec, backbone, irrelevant=latent)[1]
        self.encoder = backbones.encoder(spec, backbone, width, self.latent, labels=True, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, self.latent + spec.classes)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of encoder and decoder."""
        return parameters_of(self, "encoder", "decoder")

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
