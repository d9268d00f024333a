"""The network that judges samples: a classifier of the real data, trained by the harness.

It sees the real training images and nothing else, from a seed of its own, and is cached by
content. No model ever trains with it or is selected by it. Every judgement carries its name and
the hash of its weights, so figures of two judges never stand in one column.
"""

import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.console import say
from bench.data.base import DataSpec, Split, fingerprint, to_float
from bench.errors import BenchError, NotApplicable, add_path_to_errors
from bench.metrics.base import Context
from bench.metrics.extractors.classifier import (
    RECIPE,
    DomainClassifier,
    aside,
    steps_for,
    train_classifier,
)

JUDGED_AT_ONCE = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extractor:
    """A network in evaluation mode.

    Attributes:
        name: What stands in protocol ids: what it is, `@`, and eight digits of its weights' hash.
        logits_of: From a batch of `uint8` images on the device to logits.
        device: Where it computes.
    """

    name: str
    logits_of: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.inference_mode()
    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of images; those of one image do not depend on its neighbors.

        Args:
            x: `uint8` `[N, C, H, W]`, on any device, `N` at least 1.

        Returns:
            `float32` `[N, K]` on the CPU.

        Raises:
            BenchError: If the images are not `uint8`, or the logits are not finite.
        """
        if x.dtype != torch.uint8:
            raise BenchError(f"a network judges uint8 images, got {x.dtype}")
        chunks = torch.split(x, JUDGED_AT_ONCE)
        found = [self.logits_of(chunk.to(self.device)).float().cpu() for chunk in chunks]
        if not all(bool(torch.isfinite(part).all()) for part in found):
            raise BenchError(f"{self.name} gave logits that are not finite")
        return torch.cat(found)


@dataclass(frozen=True)
class FeatureExtractor:
    """A network in evaluation mode up to its last hidden layer.

    Attributes:
        name: What stands in protocol ids: what it is, `@`, and eight digits of its weights' hash.
        features_of: From a batch of `uint8` images on the device to features `[B, width]`, with
            the columns before and after them where there are any.
        width: Number of features.
        device: Where it computes.
        is_slow: Whether its features of real images are worth keeping on disk.
        before: Columns before the features that are kept for others, as logits are.
        after: The same behind the features.
    """

    name: str
    features_of: Callable[[Tensor], Tensor]
    width: int
    device: torch.device
    is_slow: bool = False
    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class HeadedExtractor(Extractor):
    """A slow network whose logits follow from outputs that other metrics ask for too.

    Attributes:
        through: What gives those outputs; they are kept by the content of the images.
        head: From those outputs `[B, width]` on the device to logits.
    """

    through: FeatureExtractor
    head: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DomainExtractor(Extractor):
    """The classifier of a data set.

    Attributes:
        test: The real test images, for `test_accuracy`.
        penultimate: The same network without its last layer.
    """

    test: Split
    penultimate: FeatureExtractor

    @cached_property
    def test_accuracy(self) -> float:
        """Share of the real test images that it classifies correctly."""
        return (self.logits(self.test.x).argmax(1) == self.test.y).double().mean().item()


def domain_classifier(context: Context, seed: int = 0) -> DomainExtractor:
    """Return the classifier of a data set, trained now unless it is cached.

    The same data, seed, processor and library give the same weights. Different processors
    do not, as their last bits differ; the hash in the name then differs too. Of processes
    that train it at the same time, all use the weights of the first to finish.

    Args:
        context: The data, the device and the cache.
        seed: Seed of its training.

    Returns:
        The extractor, kept in `context.extractors`.

    Raises:
        NotApplicable: If the data are no images.
    """
    spec = context.data.spec
    if not spec.is_image:
        raise NotApplicable(f"{spec.name} are no images")
    place = f"domain {seed}"
    if place not in context.extractors:
        path = context.cache / "extractors" / f"classifier-{_key(context, seed)}.pt"
        with aside():
            network = _restored(spec, path)
            if network is None:
                path.unlink(missing_ok=True)
                trained = _train(context, seed)
                _keep(trained, path)
                network = _restored(spec, path) or trained
        network.to(context.device).eval().requires_grad_(False)
        name = f"{spec.name}-classifier@{weights_hash(network.state_dict())[:8]}"
        context.extractors[place] = _judge(network, context, name)
    found = context.extractors[place]
    assert isinstance(found, DomainExtractor)
    return found


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of parameters and buffers by name, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _judge(network: DomainClassifier, context: Context, name: str) -> DomainExtractor:
    def logits_of(x: Tensor) -> Tensor:
        found: Tensor = network(to_float(x))
        return found

    def features_of(x: Tensor) -> Tensor:
        found: Tensor = network.features(to_float(x))
        return found

    penultimate = FeatureExtractor(name, features_of, network.head.in_features, context.device)
    return DomainExtractor(name, logits_of, context.device, context.data.test, penultimate)


def _key(context: Context, seed: int) -> str:
    """Return the name of all that the weights follow from."""
    data = context.data
    content = f"{RECIPE} {seed} {data.spec.shape} {data.spec.classes} {data.flip}"
    return hashlib.sha256(f"{content} {fingerprint(data.train)}".encode()).hexdigest()[:16]


def _train(context: Context, seed: int) -> DomainClassifier:
    data = context.data
    steps = steps_for(len(data.train))
    say(f"  training the classifier that judges {data.spec.name}: {steps} steps")
    began = time.monotonic()
    network = train_classifier(
        data.spec, data.train, seed=seed, flip=data.flip, device=context.device
    )
    accuracy = _judge(network, context, "").test_accuracy
    say(
        f"  trained in {time.monotonic() - began:.0f} s; it classifies {100 * accuracy:.1f} % "
        f"of {len(data.test)} real test images correctly"
    )
    return network


def _restored(spec: DataSpec, path: Path) -> DomainClassifier | None:
    """Return the classifier of a file, or None if there is none to be had from it."""
    if not path.exists():
        return None
    network = DomainClassifier(spec)
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(kept["weights"])
        if weights_hash(network.state_dict()) != kept["hash"]:
            raise ValueError("its weights are not those that were written")
    except Exception as error:  # whatever a damaged file makes of itself
        reason = str(error).split("\n", 1)[0]
        _log.warning("%s is damaged (%s); training the classifier again", path, reason)
        return None
    return network


def _keep(network: nn.Module, path: Path) -> None:
    """Write the weights, unless another process was faster: all must use the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    weights = {name: value.cpu() for name, value in network.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"weights": weights, "hash": weights_hash(weights)}, buffer)
    try:
        with add_path_to_errors(path):
            temporary.write_bytes(buffer.getbuffer())
        try:
            os.link(temporary, path)  # unlike a rename, this fails where there is a file
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
