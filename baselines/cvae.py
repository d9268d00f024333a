"""cVAE: a VAE that is told the label (Sohn, Lee & Yan, NeurIPS 2015).

The encoder `q(z | x, y)` and the decoder `p(x | z, y)` both see the label; the prior of the code is
the standard normal for every class. The label is tiled over the image as one-hot planes for the
encoder, and appended to the code for the decoder.

Departures from Sohn et al.: their prior depends on what is given, `p(z | y)`, which Zheng & Sun
(2019) leave out when they compare with this method, as is usual for class labels; and their hybrid
objective with a second, recognition-free path is for prediction, not for generation. Networks,
reductions and weights are those of Lr-LiVAE, so that the two differ in method alone. Nobody has
published the size of the baseline's code; it is that of Lr-LiVAE's irrelevant code here.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import (
    Batch,
    Code,
    ConditionalGenerator,
    Objective,
    Posterior,
    Stage,
)
from models import backbones, terms
from models.blocks import normal, one_hot


class CVAE(ConditionalGenerator):
    """The conditional VAE.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.
    """

    stages = (Stage("main", ("encoder", "decoder")),)
    objective: Objective = {
        "encoder": {"reconstruct": 10.0, "kl": 1.0},
        "decoder": {"reconstruct": 10.0},
    }
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
        """Return who owns what."""
        return {
            "encoder": list(self.encoder.parameters()),
            "decoder": list(self.decoder.parameters()),
        }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the two halves of the evidence lower bound (Eq. 1 and 3)."""
        mean, logvar = terms.widen(self.encoder(batch.x, batch.y)).chunk(2, dim=1)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        return {
            "reconstruct": terms.reconstruct(batch.x, self._decode(z, batch.y)),
            "kl": terms.kl_to_standard_normal(mean, logvar),
        }

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode standard normal draws with the labels."""
        return self._decode(normal(len(y), self.latent, like=self._weight, generator=generator), y)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the posterior mean as the irrelevant code; needs `y`, the relevant one itself."""
        if y is None:
            raise ValueError("cVAE needs labels to encode: its encoder is q(z | x, y)")
        return Code(None, self.encoder(x, y).chunk(2, dim=1)[0])

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussian of the code; needs `y`."""
        if y is None:
            raise ValueError("cVAE needs labels for its posterior, q(z | x, y)")
        mean, logvar = self.encoder(x, y).chunk(2, dim=1)
        return Posterior(None, (mean, logvar.exp()))

    def class_prior(self) -> None:
        """Return None: the label itself is the relevant code."""

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of irrelevant codes and labels; needs both."""
        if y is None or code.irrelevant is None:
            raise ValueError("cVAE needs labels and an irrelevant code to decode: p(x | z, y)")
        return self._decode(code.irrelevant, y)

    def _decode(self, z: Tensor, y: Tensor) -> Tensor:
        image: Tensor = self.decoder(torch.cat((z, one_hot(y, self.classes)), dim=1))
        return image

    @property
    def _weight(self) -> Tensor:
        return next(self.decoder.parameters())
