"""LPIPS, a distance of two images that was calibrated on what people see.

Zhang et al. (2018), computed by the authors' package. It brings the calibration along, but not the
network that it looks through: AlexNet trained on ImageNet, as torchvision publishes it. That file
has to be given; without it there is a reason and no number.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import to_float
from bench.errors import NotApplicable
from bench.metrics.base import Context
from bench.metrics.extractors.domain import weights_hash
from bench.metrics.extractors.inception import read_weights

SMALLEST = 64  # pixels of the patches that it was calibrated on
WAY = "give torchvision's file of AlexNet, trained on ImageNet, with --lpips-weights"


@dataclass(frozen=True)
class PerceptualDistance:
    """The network in evaluation mode.

    Attributes:
        name: What stands in protocol ids, with eight digits of the hash of all weights.
        network: From two batches of images in `[-1, 1]` to `[B, 1, 1, 1]`.
        device: Where it computes.
    """

    name: str
    network: Any
    device: torch.device

    @torch.inference_mode()
    def of(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance of each image from another, 0 for equal ones.

        Args:
            x: `uint8` `[B, C, H, W]`, gray or color; enlarged where a side is below 64 pixels.
            y: The others.

        Returns:
            `float32` `[B]` on the CPU.
        """
        distances: Tensor = self.network(self._seen(x), self._seen(y))
        return distances.flatten().cpu()

    def _seen(self, x: Tensor) -> Tensor:
        images = to_float(x).to(self.device).expand(-1, 3, -1, -1)
        if min(images.shape[2:]) >= SMALLEST:
            return images
        scale = SMALLEST / min(images.shape[2:])
        size = [round(scale * side) for side in images.shape[2:]]
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def perceptual_distance(context: Context) -> PerceptualDistance:
    """Return the network of a file of weights.

    Args:
        context: Names the file, `weights["lpips"]`.

    Returns:
        The network, kept in `context.extractors`.

    Raises:
        NotApplicable: If there is no such file, it is damaged or of another network, or the data
            are neither gray nor color images.
    """
    spec, place = context.data.spec, "lpips"
    if not spec.is_image or spec.shape[0] not in (1, 3):
        raise NotApplicable(f"{spec.name} are neither gray nor color images")
    path = context.weights.get("lpips")
    if path is None:
        raise NotApplicable(f"LPIPS needs weights that are not shipped; {WAY}")
    if place not in context.extractors:
        weights = read_weights(path, "AlexNet", WAY)
        network = _network()
        layers = {
            name: weights.get(f"features.{name.split('.', 1)[1]}")
            for name in network.net.state_dict()  # slice2.3.weight is features.3.weight
        }
        try:
            network.net.load_state_dict(layers)
        except (RuntimeError, AttributeError) as error:
            raise NotApplicable(f"{path} does not fit AlexNet; {WAY}") from error
        network.to(context.device).eval().requires_grad_(False)
        name = f"lpips-alex@{weights_hash(network.state_dict())[:8]}"
        context.extractors[place] = PerceptualDistance(name, network, context.device)
    found = context.extractors[place]
    assert isinstance(found, PerceptualDistance)
    return found


def _network() -> Any:
    """Return the package's network, whose AlexNet is still without training."""
    from lpips import LPIPS

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision in a way of the past
        return LPIPS(net="alex", pnet_rand=True, verbose=False)
