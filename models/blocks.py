"""The parts that networks are put together from, written so that they trace, vmap and stay fast.

Spectral norm and label conditioning are functions of ordinary weights: torch's parametrizations do
not work under `torch.func.vmap`, and a one-hot label need never be tiled over an image.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1  # of every leaky ReLU


def one_hot(y: Tensor, classes: int) -> Tensor:
    """Return labels `[B]` as `float32` rows `[B, K]`; a row without label (-1) is all zeros."""
    return (y.unsqueeze(1) == torch.arange(classes, device=y.device)).float()


def normal(
    rows: int, columns: int, *, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return standard normal noise: drawn on the generator's device, typed and placed as `like`."""
    device = like.device if generator is None else generator.device
    noise = torch.randn(rows, columns, generator=generator, device=device, dtype=like.dtype)
    return noise.to(like.device)


def glorot(network: nn.Module) -> None:
    """Initialize all weights of a network uniformly after Glorot, and all biases with zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def conditioned(layer: nn.Conv2d | nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """Apply a layer to `[x, one-hot y]`, the label tiled over an image, without building that.

    Of the `K` label planes one is all ones and the others vanish: an example pays for one input
    channel instead of `K`, and that one only sums the taps of a kernel that lie inside the image.

    Args:
        layer: Takes `C + K` input channels or features.
        x: `[B, C, H, W]` or `[B, C]`.
        y: Labels `[B]`; a row without label is not allowed.

    Returns:
        What the layer makes of the concatenation.
    """
    of_x, of_label = layer.weight[:, : x.shape[1]], layer.weight[:, x.shape[1] :].transpose(0, 1)
    if isinstance(layer, nn.Linear):
        return F.linear(x, of_x, layer.bias) + of_label[y]
    assert not isinstance(layer.padding, str)
    out = F.conv2d(x, of_x, layer.bias, layer.stride, layer.padding)
    plane = x.new_ones(1, 1, *x.shape[2:])
    inside = F.unfold(plane, layer.kernel_size, padding=layer.padding, stride=layer.stride)
    return out + (of_label[y].flatten(2) @ inside[0]).view_as(out)


def spread(means: nn.Parameter, radius: float) -> None:
    """Put class means `[K, D]` in random directions on a sphere, orthogonal ones where D >= K."""
    with torch.no_grad():
        means.copy_(radius * F.normalize(nn.init.orthogonal_(means), dim=1))


class ClassGaussians(nn.Module):
    """A diagonal Gaussian with learned mean and log-variance for each class, Eq. 6.

    Log-variances are clamped to `[-6, 4]`, since a likelihood has no upper bound where codes fall
    onto their means. One that has passed a bound gets no gradient and stays there.

    Args:
        classes: `K`.
        dimensions: `D`.
    """

    def __init__(self, classes: int, dimensions: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.empty(classes, dimensions))
        self.logvars = nn.Parameter(torch.zeros(classes, dimensions))
        nn.init.xavier_uniform_(self.means)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return means and log-variances, each `[K, D]`."""
        return self.means, self.logvars.clamp(-6, 4)

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return one draw `[B, D]` for each label."""
        means, logvars = self()
        noise = normal(len(y), means.shape[1], like=means, generator=generator)
        sample: Tensor = means[y] + (0.5 * logvars[y]).exp() * noise
        return sample


class Spectral(nn.Module):
    """A layer whose weight is divided by a power iteration's estimate of its spectral norm.

    Args:
        layer: Holds the weight `[out, ...]` and the bias, if any.
    """

    u: Tensor

    def __init__(self, layer: nn.Conv2d | nn.Linear | nn.Embedding) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("u", F.normalize(torch.randn(len(layer.weight)), dim=0))

    def weight(self) -> Tensor:
        """Return the normalized weight; in training mode also keep the iterate.

        With `v` from the last iterate, `sigma = |W v|` has the value and the gradient of `u^T W v`
        at the next one, `u = W v / |W v|`: two products instead of three.
        """
        weight: Tensor = self.layer.weight
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            with torch.no_grad():
                v = F.normalize(torch.mv(matrix.t(), self.u), dim=0)
            image = torch.mv(matrix, v)
            sigma: Tensor = torch.linalg.vector_norm(image)
            if self.training:
                with torch.no_grad():
                    self.u.copy_(image / sigma)
            return weight / sigma

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply the layer with a weight from `weight()`."""
        layer = self.layer
        if isinstance(layer, nn.Conv2d):
            return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding)
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, layer.bias)
        return F.embedding(x, weight)


class Critic(nn.Module):
    r"""The projection discriminator of Miyato & Koyama (2018), all of its weights normalized.

    .. math:: D(x, y) = \psi(h(x)) + \langle e_y, h(x) \rangle

    `weights` normalizes them once a pass, however many calls then use them; they start as
    `N(0, 0.02^2)`. Without batch norm, a call on concatenated batches equals several calls.

    Args:
        layers: From examples to `h`: convolutions, then linear layers.
        classes: Number of labels, `K`.
        average: Whether the last map is averaged over its positions rather than flattened.
    """

    def __init__(
        self, layers: Sequence[nn.Conv2d | nn.Linear], classes: int, average: bool = False
    ) -> None:
        super().__init__()
        self.average = average
        features = len(layers[-1].weight)
        every = [*layers, nn.Linear(features, 1), nn.Embedding(classes, features)]
        for layer in every:
            nn.init.normal_(layer.weight, std=0.02)
            if not isinstance(layer, nn.Embedding):
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        *trunk, self.psi, self.label = map(Spectral, every)
        self.trunk = nn.ModuleList(trunk)

    def weights(self) -> list[Tensor]:
        """Return the normalized weights for the calls of one pass."""
        return [spectral.weight() for spectral in (*self.trunk, self.psi, self.label)]

    def features(self, x: Tensor, weights: list[Tensor]) -> Tensor:
        """Return `h(x)`, `[B, F]`, of examples `[B, ...]`."""
        for spectral, weight in zip(self.trunk, weights[:-2], strict=True):
            if x.ndim == 4 and weight.ndim == 2:
                x = x.mean(dim=(2, 3)) if self.average else x.flatten(1)
            x = F.leaky_relu(spectral(x, weight), SLOPE, inplace=True)
        return x

    def scores(self, h: Tensor, y: Tensor, weights: list[Tensor]) -> Tensor:
        """Return scores `[B]` of features `[B, F]` with labels `[B]`."""
        projection = (self.label(y, weights[-1]) * h).sum(1)
        score: Tensor = self.psi(h, weights[-2]).squeeze(1) + projection
        return score

    def forward(self, x: Tensor, y: Tensor, weights: list[Tensor]) -> Tensor:
        """Return scores `[B]` of examples `[B, ...]` with labels `[B]`."""
        return self.scores(self.features(x, weights), y, weights)
