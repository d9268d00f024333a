"""Features without a network: the pixels themselves."""

import math

import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.metrics.extractors.base import FeatureExtractor


def pixel_features(spec: DataSpec, device: torch.device) -> FeatureExtractor:
    """Return the extractor that gives the `C * H * W` pixels of an image, in [0, 1]."""
    return FeatureExtractor("pixels", _flat, pixel_count(spec), device)


def pixel_count(spec: DataSpec) -> int:
    """Return the number of features of `pixel_features`."""
    return math.prod(spec.shape)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1).float() / 255
