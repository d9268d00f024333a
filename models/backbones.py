"""Encoders, decoders, critics and latent classifiers that every method is built from.

Three families. `mlp` is the paper's toy network, `conv32` its Table 3 (CIFAR-10), `vgg64` its
network for 64x64 faces and birds with the critic of its Table 4; layer sizes are from the paper,
kernel sizes from the reference implementation. `conv32` also covers squares of 8, 16 and 64 pixels
with fewer or more halvings, 3x3 kernels below 32 pixels, and fully connected layers in proportion
to the last map. `width` scales all layers but codes and latent classifiers.

Strides halve and double exactly (TensorFlow's SAME padding). Batch norm has torch's defaults (eps
1e-5, momentum 0.1), and a layer before it no bias. Weights are Glorot uniform, critics' normal.
"""

from itertools import pairwise
from math import log2
from typing import Literal

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from models.blocks import SLOPE, Critic, conditioned, glorot

Backbone = Literal["auto", "mlp", "conv32", "vgg64"]
Family = Literal["mlp", "conv32", "vgg64"]

CODES: dict[Family, tuple[int, int]] = {"mlp": (2, 2), "conv32": (100, 200), "vgg64": (512, 512)}
"""Sizes of the relevant and the irrelevant code in the paper, `(D_s, D_u)`."""

CONV = (32, 64, 128, 256, 256)  # channels after each halving of an image
CONV_CRITIC = (32, 128, 256, 256, 256)
MLP = (32, 64, 64)
VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
VGG_DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))
VGG_CRITIC = ((64, 2), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2), (512, 2))
SIZES = (8, 16, 32, 64)


class Encoder(nn.Module):
    """A network from examples, and labels if its first layer has planes for them, to numbers."""

    def __init__(self, first: nn.Conv2d | nn.Linear, rest: nn.Sequential) -> None:
        super().__init__()
        self.first = first
        self.rest = rest

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return `[B, heads * codes]` for examples `[B, ...]`."""
        out: Tensor = self.rest(self.first(x) if y is None else conditioned(self.first, x, y))
        return out


def family(spec: DataSpec, backbone: Backbone) -> Family:
    """Return the family that fits a data set.

    Args:
        spec: The shape of the data.
        backbone: A family, or `auto`: `mlp` for points, `vgg64` for 64 pixels, else `conv32`.

    Returns:
        The family.

    Raises:
        ValueError: If no family, or not this one, fits the shape.

    Examples:
        >>> family(DataSpec("digits", (1, 8, 8), ("0", "1")), "auto")
        'conv32'
    """
    what = f"{spec.name} has examples of shape {spec.shape}"
    if not spec.is_image:
        if spec.shape not in ((2,), (3,)):
            raise ValueError(
                f"{what}; networks are for images and for points of the plane, (2,), or of space, "
                "(3,)"
            )
        fitting: tuple[Family, ...] = ("mlp",)
    elif spec.shape not in {(c, size, size) for c in (1, 3) for size in SIZES}:
        sizes = ", ".join(map(str, SIZES))
        raise ValueError(
            f"{what}; images must be squares of {sizes} pixels in 1 or 3 channels (`image_size` of "
            "most data sets resizes)"
        )
    else:
        fitting = ("vgg64", "conv32") if spec.shape[1] == 64 else ("conv32",)
    if backbone == "auto":
        return fitting[0]
    if backbone not in fitting:
        raise ValueError(f"{what}; backbone {backbone!r} does not fit, {' or '.join(fitting)} does")
    return backbone


def code_sizes(
    spec: DataSpec, backbone: Backbone, relevant: int | None = None, irrelevant: int | None = None
) -> tuple[int, int]:
    """Return the sizes of both codes, those of the family where None."""
    d_s, d_u = CODES[family(spec, backbone)]
    return d_s if relevant is None else relevant, d_u if irrelevant is None else irrelevant


def encoder(
    spec: DataSpec,
    backbone: Backbone,
    width: float,
    codes: int,
    *,
    planes: int = 0,
    heads: int = 1,
) -> Encoder:
    """Return an encoder to `heads * codes` numbers.

    Args:
        spec: The shape of the data.
        backbone: The family.
        width: Multiplier of the layer sizes.
        codes: Size of a head.
        planes: How many planes of labels follow the channels of the image.
        heads: 1 for a point code, 2 for mean and log-variance.

    Returns:
        The network, Glorot-initialized.
    """
    kind = family(spec, backbone)
    layers: list[nn.Module] = []
    if kind == "mlp":
        sizes = scaled(MLP, width)
        for a, b in pairwise((spec.shape[0] + planes, *sizes)):
            layers += [nn.Linear(a, b), nn.LeakyReLU(SLOPE)]
        hidden = sizes[-1]
    elif kind == "conv32":
        kernel, channels = _kernel(spec), scaled(CONV[: halvings(spec)], width)
        for a, b in pairwise((spec.shape[0] + planes, *channels)):
            layers += [nn.Conv2d(a, b, kernel, 2, kernel // 2, bias=False), *_bn_relu(b)]
        hidden = 4 * channels[-1]
        layers += [nn.Flatten(), nn.Linear(hidden, hidden, bias=False), *_bn_relu(hidden, 1)]
    else:
        a = spec.shape[0] + planes
        for block in VGG:
            for b in scaled(block, width):
                layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), *_bn_relu(b)]
                a = b
            layers.append(nn.MaxPool2d(2))
        layers[-1] = nn.AvgPool2d(2)
        hidden = _scale(1024, width)
        layers += [nn.Flatten(), nn.Linear(4 * a, hidden, bias=False), *_bn_relu(hidden, 1)]
    first, *rest = layers
    assert isinstance(first, nn.Linear | nn.Conv2d)
    head = nn.Linear(hidden, heads * codes)
    network = Encoder(first, nn.Sequential(*rest, head))
    glorot(network)
    with torch.no_grad():
        for part in head.weight.chunk(heads):  # each head is initialized as a layer of its own
            nn.init.xavier_uniform_(part)
    return network


def decoder(spec: DataSpec, backbone: Backbone, width: float, codes: int) -> nn.Sequential:
    """Return a decoder from `[B, codes]`, one-hot labels included; images end in a tanh."""
    kind = family(spec, backbone)
    layers: list[nn.Module] = []
    if kind == "mlp":
        sizes = scaled(MLP, width)[::-1]
        for a, b in pairwise((codes, *sizes)):
            layers += [nn.Linear(a, b), nn.LeakyReLU(SLOPE)]
        layers.append(nn.Linear(sizes[-1], spec.shape[0]))
    elif kind == "conv32":
        kernel = _kernel(spec)
        top, *rest = reversed(scaled(CONV[: halvings(spec)], width))
        layers += [nn.Linear(codes, 4 * top, bias=False), *_bn_relu(4 * top, 1)]
        layers.append(nn.Unflatten(1, (top, 2, 2)))
        layers += [*_up(top, top, kernel, 2), *_up(top, top, kernel, 1)]
        for a, b in pairwise((top, *rest)):
            layers += _up(a, b, kernel, 2)
        layers += _image(rest[-1], spec, kernel)
    else:
        hidden, a = _scale(1024, width), _scale(512, width)
        layers += [nn.Linear(codes, hidden, bias=False), *_bn_relu(hidden, 1)]
        layers += [nn.Linear(hidden, 4 * a, bias=False), *_bn_relu(4 * a, 1)]
        layers.append(nn.Unflatten(1, (a, 2, 2)))
        for block in VGG_DECODER:
            for index, b in enumerate(scaled(block, width)):
                layers += _up(a, b, 3, 1 if index else 2)
                a = b
        layers += _image(a, spec, 3)
    network = nn.Sequential(*layers)
    glorot(network)
    return network


def critic(spec: DataSpec, backbone: Backbone, width: float) -> Critic:
    """Return a projection critic of examples and labels, spectrally normalized."""
    kind = family(spec, backbone)
    layers: list[nn.Conv2d | nn.Linear] = []
    if kind == "mlp":
        layers += [nn.Linear(a, b) for a, b in pairwise((spec.shape[0], *scaled(MLP, width)))]
    elif kind == "conv32":
        kernel, channels = _kernel(spec), scaled(CONV_CRITIC[: halvings(spec)], width)
        for a, b in pairwise((spec.shape[0], *channels)):
            layers.append(nn.Conv2d(a, b, kernel, 2 if layers else 1, kernel // 2))
        layers.append(nn.Linear(16 * channels[-1], 2 * channels[-1]))
    else:
        a = spec.shape[0]
        for size, stride in VGG_CRITIC:
            layers.append(nn.Conv2d(a, _scale(size, width), 3, stride, 1))
            a = _scale(size, width)
        layers.append(nn.Linear(a, _scale(1024, width)))
    return Critic(layers, spec.classes, average=kind == "vgg64")


def latent_classifier(
    spec: DataSpec, backbone: Backbone, codes: int, logits: int | None = None
) -> nn.Sequential:
    """Return a classifier of codes `[B, codes]`, by default with a logit for each class."""
    kind = family(spec, backbone)
    hidden, activation = (64, nn.LeakyReLU(SLOPE)) if kind == "mlp" else (256, nn.ReLU())
    last = nn.Linear(hidden, spec.classes if logits is None else logits)
    network = nn.Sequential(nn.Linear(codes, hidden), activation, last)
    glorot(network)
    return network


def _kernel(spec: DataSpec) -> int:
    # 5x5 as in the paper; on smaller images that would mostly see padding.
    return 5 if spec.shape[1] >= 32 else 3


def halvings(spec: DataSpec) -> int:
    """Return how often a network of the convolutional family halves an image, down to 2x2."""
    return int(log2(spec.shape[1])) - 1


def _scale(size: int, width: float) -> int:
    return max(8, 8 * round(size * width / 8))


def scaled(sizes: tuple[int, ...], width: float) -> tuple[int, ...]:
    """Return layer sizes times a width, in multiples of 8 from 8 on; the width is positive."""
    return tuple(_scale(size, width) for size in sizes)


def _bn_relu(features: int, dimensions: int = 2) -> list[nn.Module]:
    norm = nn.BatchNorm2d(features) if dimensions == 2 else nn.BatchNorm1d(features)
    return [norm, nn.ReLU(inplace=True)]


def _up(a: int, b: int, kernel: int, stride: int) -> list[nn.Module]:
    deconvolution = nn.ConvTranspose2d(
        a, b, kernel, stride, kernel // 2, output_padding=stride - 1, bias=False
    )
    return [deconvolution, *_bn_relu(b)]


def _image(a: int, spec: DataSpec, kernel: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(a, spec.shape[0], kernel, 1, kernel // 2), nn.Tanh()]
