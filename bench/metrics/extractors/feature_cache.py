"""Features of images: computed once, found again by the content of the images, never by a name.

Rows go through a network in parts of a fixed size. A part is kept under the hash of its images and
the name of the network, so another sample set, network or data set cannot be taken for it, two
metrics share it, and a set that begins like another shares its beginning.
"""

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.console import say
from bench.errors import BenchError
from bench.metrics.base import Context
from bench.metrics.extractors.domain import JUDGED_AT_ONCE, FeatureExtractor

PART = 5 * JUDGED_AT_ONCE
"""Rows of a part; all batches but the last are full, so a row has the same neighbors every time."""

KEPT_BYTES = 2**30
"""Features that a process keeps, beyond those in use; the least recently used go first."""


class Features:
    """The features of a set of images, `float32` in parts, handed out as `float64`.

    Args:
        parts: Features `[PART, D]`, the last one with as many rows as remain.
        rows: Which rows of the parts the set consists of; all of them where None.
        columns: Which columns of the parts are the features.
    """

    def __init__(
        self,
        parts: Sequence[Tensor],
        rows: Tensor | None = None,
        columns: slice = slice(None),  # immutable
    ) -> None:
        self._parts = parts
        self._columns = columns
        count = sum(len(part) for part in parts)
        self._rows = torch.arange(count) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """Number of features of an image, `D`."""
        return len(range(*self._columns.indices(self._parts[0].shape[1])))

    def select(self, rows: Tensor) -> "Features":
        """Return the set of some rows, without copying them."""
        return Features(self._parts, self._rows[rows], self._columns)

    def take(self, rows: Tensor) -> Tensor:
        """Return the features of rows in `float64`, `[len(rows), D]`."""
        rows = self._rows[rows]
        found = torch.empty(len(rows), self.width, dtype=torch.float64)
        owners = rows.div(PART, rounding_mode="floor")
        for owner in sorted(set(owners.tolist())):
            mine = owners == owner
            part = self._parts[owner][:, self._columns]
            found[mine] = part[rows[mine] - owner * PART].double()
        return found

    def blocks(self) -> Iterator[Tensor]:
        """Yield all rows in order, in `float64`, a part at a time."""
        for rows in torch.split(torch.arange(len(self)), PART):
            yield self.take(rows)

    def all(self) -> Tensor:
        """Return all rows in `float64`: for sets that are bounded."""
        return self.take(torch.arange(len(self)))


def features(
    context: Context, extractor: FeatureExtractor, x: Tensor, rows: Tensor, *, is_real: bool
) -> Features:
    """Return the features of some images, from the memory, the disk, or the network.

    Memory: 4 bytes a feature, and one part of images.

    Args:
        context: Holds what is kept in memory, and the folder of what is kept on disk.
        extractor: The network.
        x: `uint8` images `[N, C, H, W]`.
        rows: Which of them, in which order; at least one.
        is_real: Whether the images belong to the data set. Those are judged in every process, so
            the features of a slow network are kept on disk (Inception, 50 000 images: 410 MB).

    Returns:
        The features, in the order of `rows`.

    Raises:
        BenchError: If the images are not `uint8`, or the network gives values that are not finite.
    """
    if x.dtype != torch.uint8:
        raise BenchError(f"features are taken from uint8 images, got {x.dtype}")
    folder = context.cache / "features" if is_real and extractor.is_slow else None
    parts = [_part(context, extractor, x[part], folder) for part in torch.split(rows, PART)]
    columns = slice(extractor.before, extractor.before + extractor.width)
    return Features(parts, columns=columns)


def _part(context: Context, extractor: FeatureExtractor, x: Tensor, folder: Path | None) -> Tensor:
    kept = context.extractors.setdefault("features", OrderedDict())
    assert isinstance(kept, OrderedDict)
    key = _key(extractor, x)
    found: Tensor | None = kept.pop(key, None)
    path = folder / f"{key}.npy" if folder else None
    if found is None and path:
        found = _read(path, (len(x), extractor.before + extractor.width + extractor.after))
    if found is None:
        found = _compute(extractor, x)
        if path:
            _write(path, found)
    kept[key] = found
    while len(kept) > 1 and sum(part.nbytes for part in kept.values()) > KEPT_BYTES:
        kept.popitem(last=False)
    return found


def _key(extractor: FeatureExtractor, x: Tensor) -> str:
    """Return the name of all that features follow from; other devices have other last bits."""
    about = f"{extractor.name} {extractor.device.type} {list(x.shape)}"
    digest = hashlib.sha256(about.encode())
    digest.update(x.contiguous().numpy().data)
    return digest.hexdigest()[:32]


@torch.inference_mode()
def _compute(extractor: FeatureExtractor, x: Tensor) -> Tensor:
    began = time.monotonic()
    chunks = [chunk.to(extractor.device) for chunk in torch.split(x, JUDGED_AT_ONCE)]
    found = torch.cat([extractor.features_of(chunk).float().cpu() for chunk in chunks])
    if not bool(torch.isfinite(found).all()):
        raise BenchError(f"{extractor.name} gave features that are not finite")
    if extractor.is_slow:
        say(f"  {extractor.name}: {len(x)} images in {time.monotonic() - began:.0f} s")
    return found


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Return what a file holds, or None if it is absent or damaged."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
        return None
    return torch.from_numpy(found)


def _write(path: Path, found: Tensor) -> None:
    """Write a file so that no reader ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as file:
        np.save(file, found.numpy())
    os.replace(temporary, path)
