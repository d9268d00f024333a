"""The parts that networks are built from, written so that they trace as one graph and stay fast."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.training.interface import draw_normal

SLOPE = 0.1  # of every leaky ReLU
LEAST_VARIANCE = 1e-4  # of the codes of a class


def one_hot(y: Tensor, classes: int) -> Tensor:
    """Return labels `[B]` as `float32` `[B, K]`; all zeros where there is no label (-1)."""
    return (y.unsqueeze(1) == torch.arange(classes, device=y.device)).float()


def normal(
    count: int, dimensions: int, *, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return standard normal noise: drawn on the generator's device, typed and placed as `like`."""
    return draw_normal(count, dimensions, device=like.device, generator=generator, dtype=like.dtype)


def glorot(network: nn.Module) -> None:
    """Initialize all weights of a network uniformly after Glorot, and all biases with zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def conditioned(layer: nn.Conv2d | nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """Apply a layer to `[x, one-hot y]`, the label tiled over an image, without building that.

    A label plane is the same everywhere, so the kernels of the planes are added up first: of one
    label that is the kernel of one plane, of attributes those of the planes that are all ones. An
    example then pays for one input channel instead of `K`, and that one only sums the taps of a
    kernel that lie inside the image.

    Args:
        layer: Takes `C + K` input channels or features.
        x: `[B, C, H, W]` or `[B, C]`.
        y: Labels `[B]`, or attributes `[B, K]` that are 0 or 1, a plane each; all examples have
            a label.

    Returns:
        The output of the layer for the concatenation.
    """
    of_x, of_plane = layer.weight[:, : x.shape[1]], layer.weight[:, x.shape[1] :].transpose(0, 1)
    is_one_label = y.ndim == 1
    of_label = of_plane[y] if is_one_label else torch.tensordot(y.to(of_plane), of_plane, dims=1)
    if isinstance(layer, nn.Linear):
        return F.linear(x, of_x, layer.bias) + of_label
    assert not isinstance(layer.padding, str)
    out = F.conv2d(x, of_x, layer.bias, layer.stride, layer.padding)
    plane = x.new_ones(1, 1, *x.shape[2:])
    inside = F.unfold(plane, layer.kernel_size, padding=layer.padding, stride=layer.stride)
    return out + (of_label.flatten(2) @ inside[0]).view_as(out)


def spread(means: nn.Parameter, radius: float) -> None:
    """Put class means `[K, D]` in random directions on a sphere, orthogonal ones where D >= K."""
    with torch.no_grad():
        means.copy_(F.normalize(nn.init.orthogonal_(means), dim=1)).mul_(radius)


def draw(
    means: Tensor, logvars: Tensor, y: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return a draw `[B, D]` for each label `[B]` from Gaussians `[K, D]`."""
    noise = normal(len(y), means.shape[1], like=means, generator=generator)
    return means[y] + (0.5 * logvars[y]).exp() * noise


class ClassGaussians(nn.Module):
    """A diagonal Gaussian with learned mean and log-variance for each class, Eq. 6.

    Log-variances are clamped to `[-14, 4]`, since a likelihood has no upper bound where codes fall
    onto their means. One that has passed a bound gets no gradient and stays there, so the bounds
    are far from where codes are.
    """

    def __init__(self, classes: int, dimensions: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.empty(classes, dimensions))
        self.logvars = nn.Parameter(torch.zeros(classes, dimensions))
        nn.init.xavier_uniform_(self.means)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return means and log-variances, each `[K, D]`."""
        return self.means, self.logvars.clamp(-14, 4)

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return one draw `[B, D]` for each label."""
        means, logvars = self()
        return draw(means, logvars, y, generator)


class LabelGaussians(ClassGaussians):
    """Learned Gaussians for `G` labels of `V` values each, every label in a subspace of its own.

    One label has a Gaussian for each class, an attribute two. Row `V * g + v` of the tables belongs
    to value `v` of label `g`. `dimensions` are those of a label's subspace, `every` has the labels
    of each class, `[K, G]`, or `[K]` if there is one.
    """

    every: Tensor

    def __init__(self, labels: int, values: int, dimensions: int, every: Tensor) -> None:
        super().__init__(labels * values, dimensions)
        self.labels, self.values = labels, values
        self.register_buffer("every", every.view(-1, labels), persistent=False)

    def indices(self, y: Tensor) -> Tensor:
        """Return the indices into the tables `[B, G]` that labels `[B]` or `[B, G]` have."""
        return y.view(-1, self.labels) + self.values * torch.arange(self.labels, device=y.device)

    def of(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances of the codes of labels, each `[B, D]`."""
        means, logvars = (F.embedding(self.indices(y), table).flatten(1) for table in self())
        return means, logvars

    def of_classes(self) -> tuple[Tensor, Tensor]:
        """Return means and variances of the codes of each class, `[K, D]`."""
        means, logvars = self.of(self.every)
        return means, logvars.exp()

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw `[B, D]` for each example's labels `[B]` or `[B, G]`."""
        return super().sample(self.indices(y).flatten(), generator).view(len(y), -1)

    def switched(self, code: Tensor, label: int, values: Tensor) -> Tensor:
        """Return codes `[B, D]` with the part of one label at the mean of other values `[B]`."""
        parts = code.reshape(len(values), self.labels, -1).clone()
        parts[:, label] = self.means[self.values * label + values]
        return parts.flatten(1)


class ClassMoments(nn.Module):
    """Mean and variance of the codes of each class, over all examples; standard normal at first."""

    means: Tensor
    variances: Tensor

    def __init__(self, classes: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, dimensions))
        self.register_buffer("variances", torch.ones(classes, dimensions))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return means and log-variances, each `[K, D]`."""
        return self.means, self.variances.clamp(min=LEAST_VARIANCE).log()

    def fit(self, codes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take the moments of codes `[B, D]` with labels `[B]`, of all batches together.

        Classes without codes are standard normal.
        """
        counts = self.means.new_zeros(len(self.means), 1, dtype=torch.float64)
        sums, squares = (torch.zeros_like(self.means, dtype=torch.float64) for _ in range(2))
        for z, y in codes:
            members, z = one_hot(y, len(counts)).t().double(), z.double()
            counts += members.sum(dim=1, keepdim=True)
            sums += members @ z
            squares += members @ z.square()
        means = sums / counts.clamp(min=1)
        variances = squares / counts.clamp(min=1) - means.square()
        self.means.copy_(means)
        self.variances.copy_(torch.where(counts > 0, variances, 1.0))


class Spectral(nn.Module):
    """A layer whose weight is divided by a power iteration's estimate of its spectral norm."""

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
        out: Tensor = torch.func.functional_call(self.layer, {"weight": weight}, (x,))
        return out


class Critic(nn.Module):
    r"""The projection discriminator of Miyato & Koyama (2018), all of its weights normalized.

    .. math:: D(x, y) = \psi(h(x)) + \langle e_y, h(x) \rangle

    `weights` normalizes them once a pass, for any number of calls; they start as `N(0, 0.02^2)`.
    Without batch norm, a call on concatenated batches equals several calls.

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
        """Return scores `[B]` of features `[B, F]` with labels `[B]`; where -1, `psi` alone."""
        projection = (self.label(y.clamp(min=0), weights[-1]) * h).sum(1) * (y >= 0)
        score: Tensor = self.psi(h, weights[-2]).squeeze(1) + projection
        return score

    def forward(self, x: Tensor, y: Tensor, weights: list[Tensor]) -> Tensor:
        """Return scores `[B]` of examples `[B, ...]` with labels `[B]`."""
        return self.scores(self.features(x, weights), y, weights)
