"""The networks that judge images: a classifier of the real data, and the Inception network.

The domain classifier is trained by the harness on the real training images, from a seed of its own,
and cached by content. No model ever trains with it or is selected by it. Every judgement carries
its name and the hash of its weights.
"""

import hashlib
import logging
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSet, fingerprint, to_float
from bench.data.stream import Stream
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context
from bench.seeding import seed_for
from bench.tracking.console import say

RECIPE = 1  # part of the cache key: raise it with any change of network or training
BATCH = 128
STEPS = 600  # at least; large sets get ten epochs
EPOCHS = 10
RATE = 2e-3
JUDGED_AT_ONCE = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extractor:
    """A network in evaluation mode.

    Attributes:
        name: What stands in protocol ids: what it is, `@`, and eight digits of its weights' hash.
        logits_of: From a batch of `uint8` images on the device to logits.
        device: Where it computes.
        test_accuracy: Share of real test images it classifies correctly; None where unknown.
    """

    name: str
    logits_of: Callable[[Tensor], Tensor]
    device: torch.device
    test_accuracy: float | None = None

    @torch.inference_mode()
    def logits(self, x: Tensor) -> Tensor:
        """Return the logits `[N, K]` of `uint8` images `[N, C, H, W]`, `float32` on the CPU."""
        parts = [self.logits_of(part.to(self.device)).cpu() for part in torch.split(x, JUDGED_AT_ONCE)]
        return torch.cat(parts).float()


class DomainClassifier(nn.Module):
    """A small convolutional classifier for images of 8 to 64 pixels.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        size: Side of the images in pixels; every doubling beyond 8 adds a halving.
    """

    def __init__(self, channels: int, classes: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 32
        while size >= 4:
            for inputs in (channels, width):
                layers.append(nn.Conv2d(inputs, width, 3, padding=1, bias=False))
                layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers.append(nn.MaxPool2d(2))
            channels, width, size = width, min(2 * width, 256), size // 2
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of images `[B, C, H, W]` in `[-1, 1]`."""
        logits: Tensor = self.head(self.features(x))
        return logits


def domain_classifier(context: Context, seed: int = 0) -> Extractor:
    """Return the classifier of a data set, trained now unless it is cached.

    Args:
        context: The data, the device and the cache.
        seed: Seed of its training.

    Returns:
        The extractor, with its accuracy on the real test images.

    Raises:
        NotApplicable: If the data are no images.
    """
    data = context.data
    if not data.spec.is_image:
        raise NotApplicable(f"{data.spec.name} are no images")
    content = f"{RECIPE} {seed} {data.spec.shape} {data.spec.classes} {data.flip}"
    key = hashlib.sha256(f"{content} {fingerprint(data.train)}".encode()).hexdigest()[:16]
    if key not in context.extractors:
        channels, height, _ = data.spec.shape
        network = DomainClassifier(channels, data.spec.classes, height)
        path = context.cache / "extractors" / f"classifier-{key}.pt"
        if not _restored(network, path):
            network = _train(network, context, seed)
            _keep(network, path)
        context.extractors[key] = _judge(network.to(context.device).eval(), context)
    found = context.extractors[key]
    assert isinstance(found, Extractor)
    return found


def inception(context: Context) -> Extractor:
    """Return the Inception network that the Inception Score is defined by.

    Args:
        context: Names the file of its weights; without one, torch-fidelity's download is tried.

    Returns:
        The extractor of its logits.

    Raises:
        NotApplicable: If the weights cannot be had, or lack the layer of the logits.
    """
    if "inception" not in context.extractors:
        context.extractors["inception"] = _load_inception(context)
    found = context.extractors["inception"]
    if isinstance(found, NotApplicable):
        raise found
    assert isinstance(found, Extractor)
    return found


def weights_hash(network: nn.Module) -> str:
    """Return eight hexadecimal digits of the SHA-256 of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def _judge(network: nn.Module, context: Context) -> Extractor:
    spec = context.data.spec
    name = f"{spec.name}-classifier@{weights_hash(network)}"
    extractor = Extractor(name, lambda x: network(to_float(x)), context.device)
    test = context.data.test
    correct = (extractor.logits(test.x).argmax(1) == test.y).float().mean().item()
    say(f"  {name}: {100 * correct:.1f} % of {len(test)} real test images are classified correctly")
    return Extractor(name, extractor.logits_of, context.device, correct)


def _train(network: DomainClassifier, context: Context, seed: int) -> DomainClassifier:
    data: DataSet = context.data
    batch = min(BATCH, len(data.train))
    steps = max(STEPS, EPOCHS * len(data.train) // batch)
    say(f"  training the classifier that judges {data.spec.name}: {steps} steps")
    began = time.monotonic()
    devices = [context.device] if context.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed_for(seed, "extractor"))
        network = DomainClassifier(data.spec.shape[0], data.spec.classes, data.spec.shape[1])
        network.to(context.device).train()
        stream = Stream(
            data.train, batch_size=batch, seed=seed, flip=data.flip, device=context.device
        )
        optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - step / steps)
            x, y, _ = stream.batch(step)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(x), y))
            optimizer.step()
    say(f"  trained in {time.monotonic() - began:.0f} s")
    return network


def _restored(network: nn.Module, path: Path) -> bool:
    """Fill a network from the cache, or say that it cannot be."""
    if not path.exists():
        return False
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a damaged file makes of itself
        _log.warning("%s is damaged (%s); training the classifier again", path, error)
        return False
    return True


def _keep(network: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save({name: value.cpu() for name, value in network.state_dict().items()}, temporary)
    temporary.replace(path)


def _load_inception(context: Context) -> Extractor | NotApplicable:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    layer = "logits_unbiased"
    path = context.weights.get("inception")
    ways = (
        "give a file of its weights with --inception-weights, or run once where torch-fidelity "
        "can download them"
    )
    options: dict[str, Any] = {"feature_extractor_weights_path": str(path)} if path else {}
    try:
        network = FeatureExtractorInceptionV3("inception", [layer], **options)
    except RuntimeError as error:
        if path is None or "fc." not in str(error):
            raise BenchError(
                f"{path or 'the Inception network'} cannot be loaded: {error}"
            ) from error
        return NotApplicable(
            f"{path} lacks the last layer of the Inception network, which the Inception Score "
            f"needs; {ways}"
        )
    except (urllib.error.URLError, OSError) as error:
        return NotApplicable(f"the Inception network is not at hand ({error}); {ways}")
    network = network.to(context.device).eval()

    def logits_of(x: Tensor) -> Tensor:
        found: Tensor = network(x.expand(-1, 3, -1, -1))[0]
        return found

    return Extractor(f"inception@{weights_hash(network)}", logits_of, context.device)
