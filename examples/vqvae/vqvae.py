"""A VQ-VAE (van den Oord et al., NeurIPS 2017, arXiv 1711.00937) with a PixelCNN of its codes.

The first half of a run trains an autoencoder whose code is a map of indices into a codebook, the
second half a class-conditional prior of these maps, which draws one index after the other.

Departures: small residual networks with SiLU; a plain PixelCNN without gates (van den Oord et al.,
ICML 2016, arXiv 1601.06759); the term `revive` against codes that no example uses.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Code, ConditionalGenerator, Stage


class MaskedConv(nn.Conv2d):
    """A convolution that sees what comes before a position in reading order, and `own` the position."""

    def __init__(self, a: int, b: int, size: int, own: bool) -> None:
        super().__init__(a, b, size, padding=size // 2)
        visible = torch.arange(size * size) < size * size // 2 + own
        self.register_buffer("mask", visible.view(size, size).float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Residual(nn.Sequential):
    """Layers whose output is added to their input."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class PixelCNN(nn.Module):
    """The prior: logits of the index at each position, given those before it and the label."""

    def __init__(self, codes: int, classes: int, width: int, layers: int) -> None:
        super().__init__()
        self.index, self.label = nn.Embedding(codes, width), nn.Embedding(classes, width)
        self.first = MaskedConv(width, width, 5, own=False)
        self.layers = nn.ModuleList(
            Residual(nn.SiLU(), MaskedConv(width, width, 3, own=True)) for _ in range(layers)
        )
        self.last = nn.Sequential(nn.SiLU(), nn.Conv2d(width, codes, 1))

    def forward(self, indices: Tensor, y: Tensor) -> Tensor:
        """Return `[B, codes, H, W]` for `indices` `[B, H, W]` and labels `[B]`."""
        label = self.label(y)[:, :, None, None]
        h = self.first(self.index(indices).permute(0, 3, 1, 2)) + label
        for layer in self.layers:
            h = layer(h + label)
        return self.last(h)


class VQVAE(ConditionalGenerator):
    """VQ-VAE with a class-conditional PixelCNN.

    Args:
        spec: Shape of the data: images whose sides the encoder can halve.
        codes: Size of the codebook.
        dimensions: Length of a code.
        width: Channels of all networks.
        halvings: How often the encoder halves an image.
        layers: Hidden layers of the prior.
    """

    stages = (
        Stage("codes", ("encoder", "codebook", "decoder"), end=0.5),
        Stage("prior", ("prior",), start=0.5),
    )
    # `quantize` is the codebook loss of one player and the commitment loss of the other (Eq. 3).
    objective = {
        "encoder": {"reconstruct": 1.0, "quantize": 0.25},
        "codebook": {"quantize": 1.0, "revive": 0.1},
        "decoder": {"reconstruct": 1.0},
        "prior": {"likelihood": 1.0},
    }
    optimizers = {"default": {"rate": 2e-3, "schedule": {"name": "linear"}}}
    capabilities = ("encode",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        codes: int = 64,
        dimensions: int = 8,
        width: int = 64,
        halvings: int = 1,
        layers: int = 3,
    ) -> None:
        super().__init__()
        if not spec.is_image or any(side % 2**halvings for side in spec.shape[1:]):
            raise ValueError(f"images of {spec.shape} cannot be halved {halvings} times")
        channels, *sides = spec.shape
        self.map = [side // 2**halvings for side in sides]
        halve = [nn.Conv2d(width, width, 4, 2, 1) for _ in range(halvings)]
        double = [nn.ConvTranspose2d(width, width, 4, 2, 1) for _ in range(halvings)]
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            *(layer for conv in halve for layer in (nn.SiLU(), conv)),
            Residual(nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
            nn.Conv2d(width, dimensions, 1),
        )
        self.codebook = nn.Embedding(codes, dimensions)
        self.decoder = nn.Sequential(
            nn.Conv2d(dimensions, width, 3, padding=1),
            Residual(nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
            *(layer for conv in double for layer in (nn.SiLU(), conv)),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Tanh(),
        )
        self.prior = PixelCNN(codes, spec.classes, width, layers)

    def distances(self, z: Tensor) -> Tensor:
        """Return squared distances `[B, H, W, codes]` of `z` `[B, D, H, W]` from all codes."""
        z, e = z.movedim(1, -1), self.codebook.weight
        return z.square().sum(-1, keepdim=True) - 2 * z @ e.t() + e.square().sum(1)

    def look_up(self, indices: Tensor) -> Tensor:
        """Return the codes `[B, D, H, W]` of indices `[B, H, W]`."""
        return self.codebook(indices).movedim(-1, 1)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the three losses of Eq. 3 and `revive`, or the likelihood of the prior."""
        z = self.encoder(batch.x)
        distances = self.distances(z)
        indices = distances.argmin(-1)
        if stage == "prior":
            return {"likelihood": F.cross_entropy(self.prior(indices, batch.y), indices)}
        e = self.look_up(indices)
        straight_through = z + (e - z).detach()  # the gradient of the code is that of `z`
        return {
            "reconstruct": F.mse_loss(self.decoder(straight_through), batch.x),
            "quantize": F.mse_loss(z, e),
            # Every code is drawn to the output of the encoder that is nearest to it.
            "revive": distances.flatten(0, 2).amin(0).mean(),
        }

    def sample(
        self, y: Tensor, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> Tensor:
        """Draw one index after the other from the prior, and decode the map.

        Args:
            y: Labels `[B]`.
            generator: Source of the draws.
            temperature: Divisor of the logits; 0 takes the most probable index.

        Returns:
            Images `[B, C, H, W]`.

        Raises:
            ValueError: If the temperature is negative.
        """
        if temperature < 0:
            raise ValueError(f"temperature must be at least 0, got {temperature}")
        source = y.device if generator is None else generator.device
        indices = torch.zeros(len(y), *self.map, dtype=torch.int64, device=y.device)
        for row in range(self.map[0]):
            for column in range(self.map[1]):
                logits = self.prior(indices, y)[:, :, row, column]
                # The largest of logits with Gumbel noise is a draw from their softmax.
                uniform = torch.rand(logits.shape, generator=generator, device=source)
                noise = -(-uniform.clamp(min=1e-10).log()).log().to(y.device)
                indices[:, row, column] = (logits + temperature * noise).argmax(1)
        return self.decoder(self.look_up(indices))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the codes of examples, flat, as the part that is not tied to the label."""
        return Code(None, self.look_up(self.distances(self.encoder(x)).argmin(-1)).flatten(1))

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes."""
        return self.decoder(code.irrelevant.unflatten(1, (-1, *self.map)))
