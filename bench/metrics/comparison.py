"""Which real images a sample set is compared with, and the base of all metrics that compare.

Samples have equally many rows of each class, so the real images have too: otherwise a perfect
generator would not score like real images. Rows are put in an order that follows from their
content alone, first one of each class, then the next of each. So no figure depends on the order in
which images were drawn or stored, and the first so many rows are a balanced, random choice.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics.base import Context, Metric, SampleSet
from bench.metrics.extractors.choice import ExtractorChoice, features_judge
from bench.metrics.extractors.domain import Extractor, FeatureExtractor, HeadedExtractor
from bench.metrics.extractors.feature_cache import Features, features

Against = Literal["train", "test"]


@dataclass(frozen=True)
class Side:
    """One of the two sets of images that are compared.

    Attributes:
        x: `uint8` `[N, C, H, W]`.
        rows: Rows of `x` that take part, one of each class in turn.
        classes: Number of classes, `K`.
        digests: Hashes of all images of `x`.
    """

    x: Tensor
    rows: Tensor
    classes: int
    digests: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def per_class(self) -> int:
        """Rows of each class that take part."""
        return len(self.rows) // self.classes

    @property
    def name(self) -> str:
        """Eight digits of the hash of the rows that take part."""
        digest = hashlib.sha256(b"".join(self.digests[row] for row in self.rows.tolist()))
        return digest.hexdigest()[:8]

    def is_part_of(self, other: "Side") -> bool:
        """Return whether all images occur in another set, as often as here."""
        return Counter(self.digests) <= Counter(other.digests)

    def first(self, per_class: int) -> "Side":
        """Return the side with fewer rows of each class."""
        return Side(self.x, self.rows[: per_class * self.classes], self.classes, self.digests)

    def of_class(self, label: int) -> Tensor:
        """Return where the rows of a class stand among those that take part."""
        return torch.arange(label, len(self.rows), self.classes)


class Judged(NamedTuple):
    """Features of samples and of real images."""

    made: Features
    real: Features


@dataclass(frozen=True)
class Comparison:
    """Samples, the real images they are compared with, and the network that sees both.

    Attributes:
        context: Caches.
        extractor: The network.
        made: The samples.
        real: The real images.
        against: The split that the real images are from.
    """

    context: Context
    extractor: FeatureExtractor
    made: Side
    real: Side
    against: Against

    def protocol(self, head: str, *details: str) -> str:
        """Return the id of the figure `head`, with the choices that are its own."""
        real = f"{self.against}:{len(self.real)}@{self.real.name}"
        sizes = f"n={len(self.made)},real={real}"
        return f"{head}[{','.join((f'extractor={self.extractor.name}', sizes, *details))}]"

    @property
    def kind(self) -> str:
        """What the real images are called in a sentence."""
        return {"train": "training", "test": "test"}[self.against]

    @property
    def reason(self) -> str:
        """Why nothing can be compared, or an empty text."""
        if not len(self.real):
            return f"a class has no {self.kind} images"
        if self.against == "test" and self.made.is_part_of(self.real):
            return "these are test images, and would be compared with themselves"
        return ""

    def equal(self, most: int) -> "Comparison":
        """Return the comparison of equally many images of both sides, at most `most`."""
        ceiling = max(1, most // self.made.classes)
        size = min(self.made.per_class, self.real.per_class, ceiling)
        made, real = self.made.first(size), self.real.first(size)
        return Comparison(self.context, self.extractor, made, real, self.against)

    def judged(self) -> Judged:
        """Return the features of both sides, which is where the time goes."""
        found = [
            features(self.context, self.extractor, side.x, side.rows, is_real=is_real)
            for side, is_real in ((self.made, False), (self.real, True))
        ]
        return Judged(*found)

    def of_class(self, judged: Judged, label: int) -> Judged:
        """Return the features of one class."""
        sides = zip(judged, (self.made, self.real), strict=True)
        return Judged(*(found.select(side.of_class(label)) for found, side in sides))


class FeatureMetric(Metric):
    """A metric that compares features of samples with features of real images.

    The network is the classifier of the data set without its last layer, Inception, or one of the
    user's own. Figures of different networks have nothing in common but their name, and only those
    of Inception may be set beside published ones.

    The real images are those of the training split, as is usual for CIFAR-10 in the literature;
    the row of the real test images is then what a perfect generator would score with as many
    samples, and the floor of every comparison. The domain classifier has been trained on these
    images, so its features of them differ a little from those of all others: the same for every
    model, and part of the floor. Against the test images there is no such gap, but no floor either,
    since the test images would be compared with themselves: their row has a reason and no value.

    Args:
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images.
        extractor_seed: Which domain classifier.
    """

    def __init__(
        self,
        *,
        extractor: ExtractorChoice = "domain",
        against: Against = "train",
        extractor_seed: int = 0,
    ) -> None:
        self.extractor = extractor
        self.against = against
        self.extractor_seed = extractor_seed

    def compare(self, samples: SampleSet, context: Context) -> Comparison:
        """Choose the network and the images; nothing is computed yet.

        Args:
            samples: Generated or real images.
            context: The data, the device and the caches.

        Returns:
            The comparison.

        Raises:
            NotApplicable: Where there is no network to judge.
        """
        if not samples.spec.is_image:
            raise NotApplicable(f"{samples.spec.name} are no images")
        extractor = features_judge(context, self.extractor, self.extractor_seed)
        made = balanced(samples.x, samples.y, samples.spec.classes).first(samples.per_class)
        real = real_side(context, self.against)
        return Comparison(context, extractor, made, real, self.against)


def real_side(context: Context, split: Against) -> Side:
    """Return equally many real images of each class, kept in `context.extractors`."""
    place = f"real {split}"
    if place not in context.extractors:
        images: Split = getattr(context.data, split)
        context.extractors[place] = balanced(images.x, images.y, context.data.spec.classes)
    real = context.extractors[place]
    assert isinstance(real, Side)
    return real


@torch.inference_mode()
def judged_logits(context: Context, judge: Extractor, samples: SampleSet) -> Tensor:
    """Return the logits of samples; a slow network sees them once for all metrics.

    Args:
        context: Holds what is kept in memory.
        judge: The network.
        samples: The images; only those with equally many of each class share a pass.

    Returns:
        `float32` `[N, K]` on the CPU, in the order of the samples.
    """
    if not isinstance(judge, HeadedExtractor):
        return judge.logits(samples.x)
    side = balanced(samples.x, samples.y, samples.spec.classes)
    if len(side) < len(samples.x):
        return judge.logits(samples.x)
    found = features(context, judge.through, side.x, side.rows, is_real=False)
    blocks = [judge.head(block.float().to(judge.device)).cpu() for block in found.blocks()]
    logits = torch.cat(blocks)
    return logits[side.rows.argsort()]


def balanced(x: Tensor, y: Tensor, classes: int) -> Side:
    """Choose equally many images of each class, in the order of the hashes of their bytes.

    Args:
        x: `uint8` `[N, C, H, W]`.
        y: Labels `[N]`.
        classes: Number of classes, `K`.

    Returns:
        As many images of each class as the smallest has.
    """
    digests = digests_of(x)
    members = [
        sorted(torch.nonzero(y == label).flatten().tolist(), key=digests.__getitem__)
        for label in range(classes)
    ]
    rows = [row for turn in zip(*members, strict=False) for row in turn]
    return Side(x, torch.tensor(rows, dtype=torch.int64), classes, digests)


def chosen(split: Split, most: int | None = None) -> Split:
    """Return at most so many examples of a split, in an order that follows from their content.

    So neither the order in which a file holds them, nor how many there are in all, is left to
    decide what becomes of them. The order is random for all that figures know of it.

    Args:
        split: Real examples.
        most: Their number; all of them where None, or where there are no more.

    Returns:
        The examples.
    """
    keys = list(zip(digests_of(split.x), split.y.tolist(), strict=True))
    rows = torch.tensor(sorted(range(len(keys)), key=keys.__getitem__)[:most])
    return Split(split.x[rows], split.y[rows])


def digests_of(x: Tensor) -> list[bytes]:
    """Return a hash of the bytes of each row: an order of examples that follows from content."""
    # Not Python's own hash, which changes from process to process.
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in x.numpy()]
