"""Classifiers and feature extractors: networks in evaluation mode, named by their weights."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.errors import BenchError

IMAGES_PER_PASS = 500


@dataclass(frozen=True)
class Classifier:
    """A network that gives logits.

    Attributes:
        name: Name in protocols: the kind of network, `@`, and eight digits of the hash of its
            weights.
        logits_of: From a batch of `uint8` images on the device to logits `[B, K]`.
        device: Where it computes.
    """

    name: str
    logits_of: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.inference_mode()
    def logits(self, x: Tensor) -> Tensor:
        """Return logits `[N, K]`, `float32` on the CPU, of `uint8` images on any device.

        Those of one image do not depend on the others.
        """
        if x.dtype != torch.uint8:
            raise BenchError(f"a classifier takes uint8 images, got {x.dtype}")
        batches = torch.split(x, IMAGES_PER_PASS)
        logits = torch.cat([self.logits_of(b.to(self.device)).float().cpu() for b in batches])
        if not bool(torch.isfinite(logits).all()):
            raise BenchError(f"{self.name} gave logits that are not finite")
        return logits


@dataclass(frozen=True)
class FeatureExtractor:
    """A network that gives features, and possibly other outputs in the same pass.

    Attributes:
        name: Name in protocols; as for `Classifier`.
        outputs_of: From a batch of `uint8` images on the device to outputs `[B, D]`.
        width: Number of features.
        device: Where it computes.
        is_slow: Whether its features of real images are worth keeping on disk.
        columns: Which of the outputs are the features.
    """

    name: str
    outputs_of: Callable[[Tensor], Tensor]
    width: int
    device: torch.device
    is_slow: bool = False
    columns: slice = field(default_factory=lambda: slice(None))


@dataclass(frozen=True)
class FeatureClassifier(Classifier):
    """A classifier whose features are used by other metrics.

    Attributes:
        extractor: The extractor of the features.
        head: From features `[B, width]` on the device to logits, for a slow network, whose features
            are cached; None if the logits are computed from the images.
    """

    extractor: FeatureExtractor
    head: Callable[[Tensor], Tensor] | None = None
