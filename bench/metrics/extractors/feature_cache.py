"""The feature cache: features are computed once and found again by the content of the images.

Images go through a network in parts of a fixed size. A part is kept under the hash of its images
and the name of the network. Metrics share parts, and so do sets that begin with the same images.
"""

import hashlib
import io
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.console import say
from bench.errors import BenchError
from bench.metrics.balanced_set import BalancedSet, balanced_samples
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors import base
from bench.metrics.extractors.base import Classifier, FeatureClassifier, FeatureExtractor
from bench.record.files import write_atomically

PART = 5 * base.IMAGES_PER_PASS
"""Images of a part; all passes but the last are full, so an image always has the same neighbors."""

KEPT_BYTES = 2**30
"""Features that a process keeps, besides those in use; the least recently used go first."""


class Features:
    """The features of a set of images: `float32` in parts `[PART, D]`, returned as `float64`.

    The last part has as many images as remain. Where `indices` are given, the set consists of those
    images of the parts.
    """

    def __init__(self, parts: Sequence[Tensor], indices: Tensor | None = None) -> None:
        self._parts = parts
        count = sum(len(part) for part in parts)
        self._indices = torch.arange(count) if indices is None else indices

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def width(self) -> int:
        """Number of features of an image, `D`."""
        return self._parts[0].shape[1]

    def select(self, indices: Tensor) -> "Features":
        """Return the features of some images as a set, without copying them."""
        return Features(self._parts, self._indices[indices])

    def take(self, indices: Tensor) -> Tensor:
        """Return the features of some images in `float64`, `[len(indices), D]`."""
        indices = self._indices[indices]
        taken = torch.empty(len(indices), self.width, dtype=torch.float64)
        part_of = indices.div(PART, rounding_mode="floor")
        for number in sorted(set(part_of.tolist())):
            of_part = part_of == number
            taken[of_part] = self._parts[number][indices[of_part] - number * PART].double()
        return taken

    def blocks(self) -> Iterator[Tensor]:
        """Yield all features in order, in `float64`, a part at a time."""
        for indices in torch.split(torch.arange(len(self)), PART):
            yield self.take(indices)

    def all(self) -> Tensor:
        """Return all features in `float64`; for sets of bounded size."""
        return self.take(torch.arange(len(self)))


def features(
    context: Context, extractor: FeatureExtractor, images: BalancedSet, *, is_real: bool
) -> Features:
    """Return the features of images in their order, from memory, from disk, or from the network.

    Images of the data set (`is_real`) are needed by every process, so their features by a slow
    network are kept on disk (Inception, 50 000 images: 410 MB). In memory a feature takes 4 bytes.
    """
    if images.x.dtype != torch.uint8:
        raise BenchError(f"features are taken from uint8 images, got {images.x.dtype}")
    folder = context.cache / "features" if is_real and extractor.is_slow else None
    return Features(
        [
            _part(context, extractor, images.x[indices], folder)[:, extractor.columns]
            for indices in torch.split(images.indices, PART)
        ]
    )


@torch.inference_mode()
def sample_logits(context: Context, classifier: Classifier, samples: SampleSet) -> Tensor:
    """Return the logits `[N, K]` of samples in their order, `float32` on the CPU.

    A slow network sees samples once for all metrics, if they have equally many of each class.
    """
    if isinstance(classifier, FeatureClassifier) and (head := classifier.head):
        images = balanced_samples(samples)
        if len(images) == len(samples.x):
            cached = features(context, classifier.extractor, images, is_real=False)
            logits = [head(block.float().to(classifier.device)).cpu() for block in cached.blocks()]
            return torch.cat(logits)[images.indices.argsort()]
    return classifier.logits(samples.x)


def _part(context: Context, extractor: FeatureExtractor, x: Tensor, folder: Path | None) -> Tensor:
    """Return all outputs for the images of a part."""
    kept = context.remember("features", OrderedDict[str, Tensor])
    key = _key(extractor, x)
    part = kept.pop(key, None)
    path = folder / f"{key}.npy" if folder else None
    if part is None and path:
        part = _read(path, len(x), extractor)
    if part is None:
        part = _compute(extractor, x)
        if path:
            buffer = io.BytesIO()
            np.save(buffer, part.numpy())
            write_atomically(path, buffer.getbuffer())
    kept[key] = part
    while len(kept) > 1 and sum(part.nbytes for part in kept.values()) > KEPT_BYTES:
        kept.popitem(last=False)
    return part


def _key(extractor: FeatureExtractor, x: Tensor) -> str:
    """Return a hash of everything that determines the features; devices differ in last bits."""
    about = f"{extractor.name} {extractor.device.type} {list(x.shape)}"
    digest = hashlib.sha256(about.encode())
    digest.update(x.contiguous().numpy().data)
    return digest.hexdigest()[:32]


@torch.inference_mode()
def _compute(extractor: FeatureExtractor, x: Tensor) -> Tensor:
    began = time.monotonic()
    batches = torch.split(x, base.IMAGES_PER_PASS)
    part = torch.cat([extractor.outputs_of(b.to(extractor.device)).float().cpu() for b in batches])
    if not bool(torch.isfinite(part).all()):
        raise BenchError(f"{extractor.name} gave features that are not finite")
    if extractor.is_slow:
        say(f"  {extractor.name}: {len(x)} images in {time.monotonic() - began:.0f} s")
    return part


def _read(path: Path, count: int, extractor: FeatureExtractor) -> Tensor | None:
    """Return the outputs in a file; None if there is no file, or it is damaged."""
    try:
        part = np.load(path, allow_pickle=False)
        is_whole = part.dtype == np.float32 and len(part) == count and np.isfinite(part).all()
        if not is_whole or part[:, extractor.columns].shape[1] != extractor.width:
            return None
    except (OSError, ValueError, EOFError, IndexError, TypeError):
        return None
    return torch.from_numpy(part)
