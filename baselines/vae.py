"""A plain VAE that is never told the label (Kingma & Welling, ICLR 2014), and what it makes of one.

Neither the encoder `q(z | x)` nor the decoder `p(x | z)` nor a term sees the label. After the
training the moments of the codes of each class are taken; samples of a class are drawn from that
Gaussian instead of the standard normal. So the whole code is the relevant one, with the moments as
its prior, and an attribute is changed by the difference of two class means, as in Larsen et al.
(2016).

The baseline "VAE" of Klys, Snell & Zemel (2018), whose way of changing an attribute is not known
here. Networks, reductions and weights are those of Lr-LiVAE, the size of the code that of its
irrelevant code.
"""

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.training.interface import AtLeastOne, Batch, Code, Objective, Positive, Posterior, Stage
from models import backbones, terms
from models.autoencoders import VAE, gaussian_draw, gaussian_moments
from models.blocks import ClassMoments, draw


class UnconditionalVAE(VAE):
    """The VAE, with Gaussians of the codes of each class to draw from.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.
    """

    title: ClassVar[str] = "VAE"
    stages = (Stage("main", ("encoder", "decoder")),)
    objective: Objective = {
        "encoder": {"reconstruct": 10.0, "kl": 1.0},
        "decoder": {"reconstruct": 10.0},
    }

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        latent: AtLeastOne | None = None,
    ) -> None:
        super().__init__()
        self.classes = spec.classes
        self.latent = backbones.code_sizes(spec, backbone, irrelevant=latent)[1]
        self.encoder = backbones.encoder(spec, backbone, width, self.latent, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, self.latent)
        self.moments = ClassMoments(spec.classes, self.latent)
        self.nats = {"kl": self.latent}

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the two halves of the evidence lower bound."""
        mean, logvar, z = gaussian_draw(self.encoder(batch.x))
        return {
            "reconstruct": terms.reconstruct(batch.x, self._decode(z)),
            "kl": terms.kl_to_standard_normal(mean, logvar),
        }

    def finish(self, data: Iterable[Batch]) -> None:
        """Take the moments of draws of the codes of each class."""
        draws = ((gaussian_draw(self.encoder(b.x))[2], b.y) for b in data if b.labeled)
        self.moments.fit(draws)

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode draws from the Gaussians of the labels."""
        means, logvars = self.moments()
        return self._decode(draw(means, logvars, y, generator))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussian of the code, all of which is the relevant one."""
        return Posterior(gaussian_moments(self.encoder(x)), None)

    def class_prior(self) -> tuple[Tensor, Tensor]:
        """Return means and variances `[K, D]` of the codes of each class."""
        means, logvars = self.moments()
        return means, logvars.exp()

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes; labels are not needed."""
        if code.relevant is None:
            raise ValueError("VAE needs a code to decode, which is the relevant part")
        return self._decode(code.relevant)
