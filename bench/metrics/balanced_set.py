"""Sets of equally many images of each class, chosen and ordered by their content alone.

Samples have equally many images of each class, so the real images they are compared with have too;
otherwise a perfect generator would not score like real images. Images are ordered by the hashes of
their bytes: at random for any metric, but whatever the order in which they were drawn or stored.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bench.data.base import Split
from bench.data.summary import content_hashes
from bench.metrics.base import Context, SampleSet

RealSplit = Literal["train", "test"]


@dataclass(frozen=True)
class BalancedSet:
    """Equally many images of each class: one of each class, then the next of each, and so on.

    Attributes:
        x: `uint8` `[N, C, H, W]`, the images that the set was chosen from.
        indices: The images of the set, as indices into `x`.
        classes: Number of classes, `K`.
        hashes: Hashes of all images of `x`.
    """

    x: Tensor
    indices: Tensor
    classes: int
    hashes: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def per_class(self) -> int:
        """Number of images of each class."""
        return len(self.indices) // self.classes

    @property
    def name(self) -> str:
        """Eight hexadecimal digits that identify the images of the set."""
        digest = hashlib.sha256(b"".join(self.hashes[index] for index in self.indices.tolist()))
        return digest.hexdigest()[:8]

    def first(self, per_class: int) -> "BalancedSet":
        """Return a set of the first images of each class."""
        return replace(self, indices=self.indices[: per_class * self.classes])

    def occurs_in(self, other: "BalancedSet") -> bool:
        """Return whether `x` holds no image more often than the `x` of another set."""
        return Counter(self.hashes) <= Counter(other.hashes)


def balanced(x: Tensor, y: Tensor, classes: int) -> BalancedSet:
    """Choose equally many images `[N, C, H, W]` of each class, as many as the smallest has."""
    hashes = content_hashes(x)
    members = [
        sorted(torch.nonzero(y == label).flatten().tolist(), key=hashes.__getitem__)
        for label in range(classes)
    ]
    indices = torch.tensor([*zip(*members, strict=False)], dtype=torch.int64).flatten()
    return BalancedSet(x, indices, classes, hashes)


def balanced_samples(samples: SampleSet) -> BalancedSet:
    """Return the images of a sample set, equally many of each class."""
    return balanced(samples.x, samples.y, samples.spec.classes)


def balanced_real(context: Context, split: RealSplit) -> BalancedSet:
    """Return equally many real images of each class, chosen once in this process."""
    images: Split = getattr(context.data, split)
    classes = context.data.spec.classes
    return context.remember(f"real {split}", lambda: balanced(images.x, images.y, classes))


def ordered_by_content(split: Split, most: int | None = None) -> Split:
    """Return the examples of a split in the order of content, at most the first `most`."""
    keys = list(zip(content_hashes(split.x), split.y.tolist(), strict=True))
    indices = torch.tensor(sorted(range(len(keys)), key=keys.__getitem__)[:most])
    return split.take(indices)
