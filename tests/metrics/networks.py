"""Networks of a few numbers, to be saved in files."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn


class Pair(nn.Module):
    """Four fields of the image, and linear logits of them."""

    def __init__(self, classes: int = 3, channels: int = 1):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(classes, 4 * channels, generator=generator))

    def forward(self, x):
        fields = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return 9 * F.linear(fields, self.weight), fields


class Logits(Pair):
    def forward(self, x):
        return 9 * F.linear(F.adaptive_avg_pool2d(x, 2).flatten(1), self.weight)


class Named(Pair):
    def forward(self, x):
        fields = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return {"features": fields, "logits": 9 * F.linear(fields, self.weight)}


class Misnamed(nn.Module):
    def forward(self, x):
        return {"embedding": x.flatten(1)}


class Maps(nn.Module):
    def forward(self, x):
        return x


class Whole(nn.Module):
    def forward(self, x):
        return x.flatten(1).sum(0, keepdim=True)


class One(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :1]


class Three(nn.Module):
    def forward(self, x):
        y = x.flatten(1)
        return y, y, y


class Pixels(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        # As a network that was saved while it trained.
        return F.batch_norm(x, None, None, training=True).flatten(1) + self.norm(x).flatten(1)


def save(network, path):
    """Write a network as TorchScript, and return the path as a string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(network.eval()).save(str(path))
    return str(path)
