"""A VQ-VAE (van den Oord et al., NeurIPS 2017, arXiv 1711.00937) with a PixelCNN of its codes.

The first half of a run trains an autoencoder whose code is a map of indices into a codebook, the
second half a class-conditional prior of these maps, which draws one index after the other.

Departures: small networks; a PixelCNN without gates (van den Oord et al., ICML 2016, arXiv
1601.06759); a smaller weight of commitment; the term `revive` against codes that no example uses.
"""

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Code, ConditionalGenerator, Stage, draw_uniform


class MaskedConv(nn.Conv2d):
    """A convolution that sees the positions before one in reading order, and itself if `own`."""

    mask: Tensor

    def __init__(self, a: int, b: int, size: int, own: bool) -> None:
        super().__init__(a, b, size, padding=size // 2)
        is_seen = torch.arange(size * size) < size * size // 2 + own
        self.register_buffer("mask", is_seen.view(size, size).float())

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, b, H, W]` for `[B, a, H, W]`."""
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.kernel_size[0] // 2)


class PixelCNN(nn.Module):
    """The prior: logits of the index at each position, given those before it and the label."""

    def __init__(self, codes: int, classes: int, width: int) -> None:
        super().__init__()
        self.index, self.label = nn.Embedding(codes, width), nn.Embedding(classes, width)
        self.first = MaskedConv(width, width, 5, own=False)
        self.layers = nn.ModuleList(MaskedConv(width, width, 3, own=True) for _ in range(3))
        self.last = nn.Conv2d(width, codes, 1)

    def forward(self, indices: Tensor, y: Tensor) -> Tensor:
        """Return `[B, codes, H, W]` for indices `[B, H, W]` and labels `[B]`."""
        label = self.label(y)[:, :, None, None]
        h = self.first(self.index(indices).movedim(-1, 1))
        for layer in self.layers:
            h = h + layer(F.silu(h + label))
        logits: Tensor = self.last(F.silu(h))
        return logits


class VQVAE(ConditionalGenerator):
    """An autoencoder with a codebook, and a prior of its maps of indices.

    Args:
        spec: Shape of the data: images, with even sides; maps have half of them.
        codes: Size of the codebook.
        size: Length of a code.
        width: Channels of all networks.
    """

    stages = (
        Stage("codes", ("encoder", "codebook", "decoder"), end=0.5),
        Stage("prior", ("prior",), start=0.5),
    )
    # `quantize` is the codebook loss of one player and the commitment loss of another (Eq. 3).
    objective = {
        "encoder": {"reconstruct": 1.0, "quantize": 0.1},
        "codebook": {"quantize": 1.0, "revive": 1.0},
        "decoder": {"reconstruct": 1.0},
        "prior": {"likelihood": 1.0},
    }
    optimizers = {"default": {"rate": 2e-3, "schedule": {"name": "linear"}}}

    def __init__(self, spec: DataSpec, *, codes: int = 32, size: int = 8, width: int = 64) -> None:
        super().__init__()
        if not spec.is_image or any(side % 2 for side in spec.shape[1:]):
            raise ValueError(f"needs images with even sides, not examples of shape {spec.shape}")
        channels, *sides = spec.shape
        self.map = [side // 2 for side in sides]
        self.encoder = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()),
            *(nn.Conv2d(width, width, 4, 2, 1), nn.SiLU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.SiLU()),
            nn.Conv2d(width, size, 1),
        )
        self.codebook = nn.Embedding(codes, size)
        self.decoder = nn.Sequential(
            *(nn.Conv2d(size, width, 3, padding=1), nn.SiLU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.SiLU()),
            *(nn.ConvTranspose2d(width, width, 4, 2, 1), nn.SiLU()),
            *(nn.Conv2d(width, channels, 3, padding=1), nn.Tanh()),
        )
        self.prior = PixelCNN(codes, spec.classes, width)

    def distances(self, z: Tensor) -> Tensor:
        """Return squared distances `[B, H, W, codes]` of `z` `[B, D, H, W]` from all codes."""
        z, e = z.movedim(1, -1), self.codebook.weight
        return z.square().sum(-1, keepdim=True) - 2 * z @ e.t() + e.square().sum(1)

    def codes_of(self, indices: Tensor) -> Tensor:
        """Return the codes `[B, D, H, W]` of indices `[B, H, W]`."""
        return F.embedding(indices, self.codebook.weight).movedim(-1, 1)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the losses of Eq. 3 and `revive`, or the negative log-likelihood of the prior."""
        z = self.encoder(batch.x).float()  # distances are not for bfloat16
        distances = self.distances(z)
        indices = distances.argmin(-1)
        if stage == "prior":
            return {"likelihood": F.cross_entropy(self.prior(indices, batch.y), indices)}
        e = self.codes_of(indices)
        straight_through = z + (e - z).detach()  # the value of `e`, the gradient of `z`
        return {
            "reconstruct": F.mse_loss(self.decoder(straight_through), batch.x),
            "quantize": F.mse_loss(z, e),
            # Each code moves to the nearest output of the encoder, also if none is nearest to it.
            "revive": distances.flatten(0, 2).amin(0).mean(),
        }

    def sample(
        self, y: Tensor, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> Tensor:
        """Draw one index after the other, and decode the map; temperature 0 takes the likeliest."""
        if temperature < 0:
            raise ValueError(f"temperature must be at least 0, got {temperature}")
        indices = torch.zeros(len(y), *self.map, dtype=torch.int64, device=y.device)
        for row, column in product(*map(range, self.map)):
            logits = self.prior(indices, y)[:, :, row, column]
            uniform = draw_uniform(*logits.shape, device=y.device, generator=generator)
            # With Gumbel noise, the largest is a draw.
            gumbel = -(-uniform.clamp(min=1e-10).log()).log()
            indices[:, row, column] = (logits + temperature * gumbel).argmax(1)
        return self.decode(Code(None, self.codes_of(indices).flatten(1)))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the codes of a map, one after the other, as a code that no label is tied to."""
        return Code(None, self.codes_of(self.distances(self.encoder(x)).argmin(-1)).flatten(1))

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes that `encode` has returned."""
        assert code.irrelevant is not None
        images: Tensor = self.decoder(code.irrelevant.view(len(code.irrelevant), -1, *self.map))
        return images
