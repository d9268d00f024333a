"""Encoders, decoders, critics and latent classifiers that every method is built from.

Three families. `mlp` is the paper's toy network, `conv32` its Table 3 (CIFAR-10), `vgg64` its network
for 64x64 faces and birds with the critic of its Table 4; layer sizes from the paper, kernel sizes
from the reference implementation. `conv32` also covers squares of 8, 16 and 64 pixels with fewer
or more halvings, and `width` scales the layers of both image families, so that a laptop can train
them. Because all methods call the same functions, a comparison compares methods.
"""

from itertools import pairwise
from math import log2
from typing import Literal

import torch
from torch import nn

from bench.data.base import DataSpec
from models.blocks import SLOPE, Critic, Encoder, glorot

Backbone = Literal["auto", "mlp", "conv32", "vgg64"]
Family = Literal["mlp", "conv32", "vgg64"]

CODES: dict[Family, tuple[int, int]] = {"mlp": (2, 2), "conv32": (100, 200), "vgg64": (512, 512)}
"""Sizes of the relevant and the irrelevant code in the paper, `(D_s, D_u)`."""

CONV = (32, 64, 128, 256, 256)  # channels after each halving
CONV_CRITIC = (32, 128, 256, 256, 256)
VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
VGG_DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))
VGG_CRITIC = ((64, 2), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2), (512, 2))
SIZES = (8, 16, 32, 64)


def family(spec: DataSpec, backbone: Backbone) -> Family:
    """Return the family that fits a data set.

    Args:
        spec: The shape of the data.
        backbone: A family, or `auto`: `mlp` for points, `vgg64` for 64 pixels, else `conv32`.

    Returns:
        The family.

    Raises:
        ValueError: If the family does not fit the shape.
    """
    if not spec.is_image:
        if backbone not in ("auto", "mlp"):
            raise ValueError(f"backbone {backbone!r} needs images; points take 'mlp'")
        return "mlp"
    _, height, width = spec.shape
    if backbone == "mlp":
        raise ValueError("backbone 'mlp' is for points; images take 'conv32' or 'vgg64'")
    if height != width or height not in SIZES:
        raise ValueError(
            f"images must be squares of {', '.join(map(str, SIZES))} pixels, got {height}x{width}"
        )
    if backbone == "vgg64" and height != 64:
        raise ValueError(f"backbone 'vgg64' needs 64x64 pixels, got {height}x{width}")
    if backbone == "auto":
        return "vgg64" if height == 64 else "conv32"
    return backbone


def encoder(
    spec: DataSpec,
    backbone: Backbone,
    width: float,
    codes: int,
    *,
    labels: bool = False,
    heads: int = 1,
) -> Encoder:
    """Return an encoder to `heads * codes` numbers.

    Args:
        spec: The shape of the data.
        backbone: The family.
        width: Multiplier of the layer sizes.
        codes: Size of a head.
        labels: Whether it also takes labels, as one-hot planes behind the channels of the image.
        heads: 1 for a point code, 2 for mean and log-variance.

    Returns:
        The network, Glorot-initialized.
    """
    chosen = family(spec, backbone)
    extra = spec.classes if labels else 0
    layers: list[nn.Module] = []
    if chosen == "mlp":
        sizes = (spec.shape[0] + extra, 32, 64, 64)
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.LeakyReLU(SLOPE)]
        hidden = 64
    elif chosen == "conv32":
        kernel, channels = _kernel(spec), _scaled(CONV[: _halvings(spec)], width)
        for a, b in pairwise((spec.shape[0] + extra, *channels)):
            layers += [nn.Conv2d(a, b, kernel, 2, kernel // 2, bias=False), *_bn_relu(b)]
        hidden = 4 * channels[-1]
        layers += [nn.Flatten(), nn.Linear(hidden, hidden, bias=False), *_bn_relu(hidden, 1)]
    else:
        a = spec.shape[0] + extra
        for block in VGG:
            for b in _scaled(block, width):
                layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), *_bn_relu(b)]
                a = b
            layers.append(nn.AvgPool2d(2) if block is VGG[-1] else nn.MaxPool2d(2))
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
    """Return a decoder from `[B, codes]` to examples, images through tanh.

    Args:
        spec: The shape of the data.
        backbone: The family.
        width: Multiplier of the layer sizes.
        codes: Size of the whole code, a one-hot label included where a method feeds one.

    Returns:
        The network, Glorot-initialized.
    """
    chosen = family(spec, backbone)
    layers: list[nn.Module] = []
    if chosen == "mlp":
        for a, b in pairwise((codes, 64, 64, 32)):
            layers += [nn.Linear(a, b), nn.LeakyReLU(SLOPE)]
        layers.append(nn.Linear(32, spec.shape[0]))
    elif chosen == "conv32":
        kernel = _kernel(spec)
        top, *rest = reversed(_scaled(CONV[: _halvings(spec)], width))
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
            for index, b in enumerate(_scaled(block, width)):
                layers += _up(a, b, 3, 1 if index else 2)
                a = b
        layers += _image(a, spec, 3)
    network = nn.Sequential(*layers)
    glorot(network)
    return network


def critic(spec: DataSpec, backbone: Backbone, width: float) -> Critic:
    """Return a projection critic.

    Args:
        spec: The shape of the data.
        backbone: The family.
        width: Multiplier of the layer sizes.

    Returns:
        The network, spectrally normalized, initialized with `N(0, 0.02^2)`.
    """
    chosen = family(spec, backbone)
    layers: list[nn.Conv2d | nn.Linear] = []
    if chosen == "mlp":
        layers = [nn.Linear(a, b) for a, b in pairwise((spec.shape[0], 32, 64, 64))]
        return Critic(layers, spec.classes)
    if chosen == "conv32":
        kernel, channels = _kernel(spec), _scaled(CONV_CRITIC[: _halvings(spec)], width)
        for a, b in pairwise((spec.shape[0], *channels)):
            layers.append(nn.Conv2d(a, b, kernel, 2 if layers else 1, kernel // 2))
        layers.append(nn.Linear(16 * channels[-1], _scale(512, width)))
        return Critic(layers, spec.classes)
    a = spec.shape[0]
    for size, stride in VGG_CRITIC:
        layers.append(nn.Conv2d(a, _scale(size, width), 3, stride, 1))
        a = _scale(size, width)
    layers.append(nn.Linear(a, _scale(1024, width)))
    return Critic(layers, spec.classes, average=True)


def latent_classifier(spec: DataSpec, backbone: Backbone, codes: int) -> nn.Sequential:
    """Return the adversary that guesses the label from a code `[B, codes]`.

    Args:
        spec: The shape of the data.
        backbone: The family.
        codes: Size of the code.

    Returns:
        The network to logits `[B, K]`, Glorot-initialized.
    """
    hidden, activation = (
        (64, nn.LeakyReLU(SLOPE)) if family(spec, backbone) == "mlp" else (256, nn.ReLU())
    )
    network = nn.Sequential(nn.Linear(codes, hidden), activation, nn.Linear(hidden, spec.classes))
    glorot(network)
    return network


def _kernel(spec: DataSpec) -> int:
    # 5x5 as in the paper; on smaller images that would mostly see padding.
    return 5 if spec.shape[1] >= 32 else 3


def _halvings(spec: DataSpec) -> int:
    return int(log2(spec.shape[1])) - 1  # down to 2x2


def _scale(size: int, width: float) -> int:
    return max(8, 8 * round(size * width / 8))


def _scaled(sizes: tuple[int, ...], width: float) -> tuple[int, ...]:
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
