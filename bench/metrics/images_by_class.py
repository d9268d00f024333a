"""Images by class, chosen and ordered by their content alone.

Where all classes have equally many samples, the real images they are compared with have too;
otherwise a perfect generator would not score like real images. Where classes differ in size, all
images are taken. Images are ordered by the hashes of their bytes: at random for any metric, but
whatever the order in which they were drawn or stored.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bench.data.base import Split
from bench.data.summary import content_hashes
from bench.metrics.base import ClassSizes, Context, SampleSet

RealSplit = Literal["train", "test"]


@dataclass(frozen=True)
class ImageSet(ClassSizes):
    """Images in turns: one of each class, then the next of each class that has one, and so on.

    Attributes:
        x: `uint8` `[N, C, H, W]`, the images that the set was chosen from.
        indices: The images of the set, as indices into `x`.
        turns: The number of each image within its class.
        places: The place of each image's class among the classes of the set.
        classes: Number of classes, `K`.
        hashes: Hashes of all images of `x`.
    """

    x: Tensor
    indices: Tensor
    turns: Tensor
    places: Tensor
    classes: int
    hashes: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def counts(self) -> list[int]:
        """Number of images of each class."""
        counts: list[int] = torch.bincount(self.places, minlength=self.classes).tolist()
        return counts

    @property
    def members(self) -> list[Tensor]:
        """The images of each class, as places in this set."""
        return [torch.nonzero(self.places == place).flatten() for place in range(self.classes)]

    @property
    def name(self) -> str:
        """Eight hexadecimal digits that identify the images of the set."""
        digest = hashlib.sha256(b"".join(self.hashes[index] for index in self.indices.tolist()))
        return digest.hexdigest()[:8]

    def first(self, per_class: int) -> "ImageSet":
        """Return a set of the first images of each class, at most so many."""
        return self._where(self.turns < per_class)

    def some(self, count: int) -> "ImageSet":
        """Return a set of so many images, each as likely as any other, whatever its class."""
        order = sorted(range(len(self)), key=lambda at: self.hashes[int(self.indices[at])])
        kept = torch.zeros(len(self), dtype=torch.bool)
        kept[order[:count]] = True
        return self._where(kept)

    def occurs_in(self, other: "ImageSet") -> bool:
        """Return whether `x` holds no image more often than the `x` of another set."""
        return Counter(self.hashes) <= Counter(other.hashes)

    def _where(self, kept: Tensor) -> "ImageSet":
        parts = self.indices[kept], self.turns[kept], self.places[kept]
        return replace(self, indices=parts[0], turns=parts[1], places=parts[2])


def by_class(
    x: Tensor,
    y: Tensor,
    labels: Iterable[int],
    *,
    equal: bool,
    hashes: Sequence[bytes] | None = None,
) -> ImageSet:
    """Return the images `[N, C, H, W]` of some classes; if `equal`, as many as the smallest has."""
    hashes = hashes or content_hashes(x)
    members = [
        sorted(torch.nonzero(y == label).flatten().tolist(), key=hashes.__getitem__)
        for label in labels
    ]
    if equal:
        size = min(map(len, members))
        members = [indices[:size] for indices in members]
    taken = sorted(
        (turn, place, index)
        for place, indices in enumerate(members)
        for turn, index in enumerate(indices)
    )
    turns, places, indices = torch.tensor(taken, dtype=torch.int64).reshape(-1, 3).T
    return ImageSet(x, indices, turns, places, len(members), hashes)


def sampled(samples: SampleSet) -> ImageSet:
    """Return the images of a sample set by class."""
    return by_class(samples.x, samples.y, samples.labels, equal=False)


def real_like(
    samples: SampleSet, context: Context, split: RealSplit, *, equal: bool = False
) -> ImageSet:
    """Return real images of the classes of samples; where these are not known, of all as one."""
    if samples.labeled:
        return real_images(context, split, samples.labels, equal=equal)
    x = getattr(context.data, split).x
    unknown = torch.zeros(len(x), dtype=torch.int64)
    return context.remember(
        f"real {split} unlabeled", lambda: by_class(x, unknown, (0,), equal=False)
    )


def real_images(
    context: Context, split: RealSplit, labels: Sequence[int], *, equal: bool
) -> ImageSet:
    """Return the real images of some classes, all or equally many, chosen once in this process."""
    images: Split = getattr(context.data, split)
    is_whole = len(labels) == context.data.spec.classes
    key = f"real {split}{'' if equal else ' all'}{'' if is_whole else f' {[*labels]}'}"

    def choose() -> ImageSet:
        hashes = context.remember(f"hashes {split}", lambda: content_hashes(images.x))
        return by_class(images.x, images.y, labels, equal=equal, hashes=hashes)

    return context.remember(key, choose)


def ordered_by_content(split: Split, most: int | None = None) -> Split:
    """Return the examples of a split in the order of content, at most the first `most`."""
    keys = list(zip(content_hashes(split.x), split.y.tolist(), strict=True))
    indices = torch.tensor(sorted(range(len(keys)), key=keys.__getitem__)[:most])
    return split.take(indices)
