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

    Its name in protocols is the kind of network, `@`, and eight digits of the hash of its weights.
    `logits_of` gives the logits of a batch of `uint8` images on the device.
    """

    name: str
    logits_of: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.inference_mode()
    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of images; those of one image do not depend on the others.

        Args:
            x: `uint8` `[N, C, H, W]`, on any device, `N` at least 1.

        Returns:
            `float32` `[N, K]` on the CPU; a `BenchError` if they are not finite.
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
    """A slow classifier whose logits follow from features that other metrics need too.

    The features of the extractor are cached; `head` maps them, `[B, width]` on the device, to
    logits.
    """

    extractor: FeatureExtractor
    head: Callable[[Tensor], Tensor]
