"""The feature cache: features are computed once and found again by the content of the images.

Images go through a network in parts of a fixed size. A part is kept under the hash of its images
and the name of the network. Metrics share parts, and so do sets that begin with the same images.
"""

import hashlib
import io
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.console import say
from bench.errors import BenchError
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors import base
from bench.metrics.extractors.base import Classifier, FeatureClassifier, FeatureExtractor
from bench.metrics.images_by_class import ImageSet, sampled
from bench.record.files import write_atomically

PART = 5 * base.IMAGES_PER_PASS
"""Images of a part; all passes but the last are full, so an image always has the same neighbors."""

KEPT_BYTES = 2**30
"""Features that a process keeps, besides those in use; the least recently used go first."""


def features(
    context: Context, extractor: FeatureExtractor, images: ImageSet, *, is_real: bool
) -> Tensor:
    """Return the features of images in their order, `float32` `[N, D]` on the CPU.

    Images of the data set (`is_real`) are needed by every process, so their features by a slow
    network are kept on disk (Inception, 50 000 images: 410 MB).
    """
    if images.x.dtype != torch.uint8:
        raise BenchError(f"features are taken from uint8 images, got {images.x.dtype}")
    folder = context.cache / "features" if is_real and extractor.is_slow else None
    parts = (images.x[indices] for indices in torch.split(images.indices, PART))
    outputs = [_part(context, extractor, part, folder)[:, extractor.columns] for part in parts]
    return torch.cat(outputs)


@torch.inference_mode()
def sample_logits(context: Context, classifier: Classifier, samples: SampleSet) -> Tensor:
    """Return the logits `[N, K]` of samples in their order, `float32` on the CPU.

    A slow network sees samples once for all metrics.
    """
    if isinstance(classifier, FeatureClassifier) and (head := classifier.head):
        images = sampled(samples)
        cached = features(context, classifier.extractor, images, is_real=False)
        logits = [head(part.to(classifier.device)).cpu() for part in torch.split(cached, PART)]
        return torch.cat(logits)[images.indices.argsort()]
    return classifier.logits(samples.x)


def _part(context: Context, extractor: FeatureExtractor, x: Tensor, folder: Path | None) -> Tensor:
    """Return all outputs for the images of a part."""
    kept = context.remember("features", OrderedDict[str, Tensor])
    # All that determines the features: the last bits differ between types of devices.
    about = f"{extractor.name} {extractor.device.type} {list(x.shape)}"
    content = x.contiguous().numpy().tobytes()
    key = hashlib.sha256(about.encode() + content).hexdigest()[:32]
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
