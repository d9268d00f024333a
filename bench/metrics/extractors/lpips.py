"""LPIPS (Zhang et al. 2018), a distance of images calibrated on human judgements.

The authors' package contains the calibration, but not the network: AlexNet trained on ImageNet, as
torchvision publishes it. The user has to give that file.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import to_float
from bench.errors import NotApplicable
from bench.metrics.base import Context
from bench.metrics.extractors.weight_files import read_weights, weights_hash

SMALLEST = 64  # pixels of the patches that it was calibrated on
REMEDY = "give torchvision's file of AlexNet, trained on ImageNet, with --lpips-weights"


@dataclass(frozen=True)
class PerceptualDistance:
    """The network in evaluation mode, named in protocols by the hash of all weights."""

    name: str
    network: Any
    device: torch.device

    @torch.inference_mode()
    def of(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance `[B]` of `uint8` images from others on the CPU, 0 for equal ones.

        Gray images are repeated to three channels, those with a side below 64 pixels enlarged.
        """
        distances: Tensor = self.network(self._prepared(x), self._prepared(y))
        return distances.flatten().cpu()

    def _prepared(self, x: Tensor) -> Tensor:
        images = to_float(x).to(self.device).expand(-1, 3, -1, -1)
        if min(images.shape[2:]) >= SMALLEST:
            return images
        scale = SMALLEST / min(images.shape[2:])
        size = [round(scale * side) for side in images.shape[2:]]
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def perceptual_distance(context: Context) -> PerceptualDistance:
    """Return the network of the file `weights["lpips"]` of the context, kept in memory.

    `NotApplicable` if there is no such file, it is damaged or of another network, or the data are
    neither gray nor color images.
    """
    context.require_gray_or_color()
    return context.remember("lpips", lambda: _load(context))


def _load(context: Context) -> PerceptualDistance:
    path = context.weights.get("lpips")
    if path is None:
        raise NotApplicable(f"LPIPS needs weights that are not shipped; {REMEDY}")
    network = read_lpips(path)
    network.to(context.device).eval().requires_grad_(False)
    name = f"lpips-alex@{weights_hash(network.state_dict())[:8]}"
    return PerceptualDistance(name, network, context.device)


def read_lpips(path: Path) -> Any:
    """Return the network with the weights of a file; `NotApplicable` if it is not of AlexNet."""
    weights = read_weights(path, "AlexNet", REMEDY)
    from lpips import LPIPS

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision in a deprecated way
        network = LPIPS(net="alex", pnet_rand=True, verbose=False)
    layers = {
        name: weights.get(f"features.{name.split('.', 1)[1]}")
        for name in network.net.state_dict()  # slice2.3.weight is features.3.weight
    }
    try:
        network.net.load_state_dict(layers)
    except (RuntimeError, AttributeError) as error:
        raise NotApplicable(f"{path} does not fit AlexNet; {REMEDY}") from error
    return network
