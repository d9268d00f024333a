"""Base classes of metrics that compare features of samples with features of real images."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from bench.metrics.base import Context, Measurement, SampleSet
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.extractors.base import FeatureExtractor
from bench.metrics.extractors.extractor_option import ExtractorOption, choose_feature_extractor
from bench.metrics.extractors.feature_cache import features
from bench.metrics.images_by_class import ImageSet, RealSplit, real_like, sampled


@dataclass(frozen=True)
class FeatureComparison:
    """Samples, the real images of one split that they are compared with, and the extractor."""

    context: Context
    extractor: FeatureExtractor
    samples: ImageSet
    real: ImageSet
    split: RealSplit

    def protocol(self, head: str, *details: str) -> str:
        """Return the protocol of a measurement: `head[extractor, sizes, real images, details]`."""
        real = f"{self.split}:{len(self.real)}@{self.real.name}"
        sizes = f"n={len(self.samples)},real={real}"
        return f"{head}[{','.join((f'extractor={self.extractor.name}', sizes, *details))}]"

    @property
    def is_balanced(self) -> bool:
        """Whether the classes of either set have equally many images."""
        return self.samples.is_balanced and self.real.is_balanced

    def average(self, kind: str) -> tuple[str, ...]:
        """Return what the protocol says of a mean over images or classes, where these differ."""
        return () if self.is_balanced else (f"average={kind}",)

    @property
    def kind(self) -> str:
        """Name of the real images in messages."""
        return {"train": "training", "test": "test"}[self.split]

    @property
    def reason(self) -> str:
        """Why these sets cannot be compared; empty if they can."""
        if not self.real.per_class:
            return f"a class has no {self.kind} images"
        if self.split == "test" and self.samples.occurs_in(self.real):
            return "these are test images, and would be compared with themselves"
        return ""

    def equally_many(self, most: int) -> "FeatureComparison":
        """Return the comparison of equally many samples and real images, at most `most`."""
        if not self.is_balanced:
            size = min(len(self.samples), len(self.real), most)
            return replace(self, samples=self.samples.some(size), real=self.real.some(size))
        limit = max(1, most // self.samples.classes)
        size = min(self.samples.per_class, self.real.per_class, limit)
        return replace(self, samples=self.samples.first(size), real=self.real.first(size))

    def features(self) -> tuple[Tensor, Tensor]:
        """Return the features of both sets on the device, `float32` `[N, D]`."""
        made = features(self.context, self.extractor, self.samples, is_real=False)
        real = features(self.context, self.extractor, self.real, is_real=True)
        return made.to(self.context.device), real.to(self.context.device)


@dataclass(frozen=True, kw_only=True)
class FeatureMetric(GroupedMetric):
    """A metric that compares features of samples with features of real images.

    Numbers from Inception can be compared with published ones. The real images are the training
    images, as is usual for CIFAR-10. The row of the real test images then shows what a perfect
    generator would score with as many samples. The domain classifier was trained on the training
    images, so its features of them differ a little from those of other images, equally for every
    model. With test images instead, the row of the real test images has no value: they would be
    compared with themselves.

    Attributes:
        extractor: `domain`, the classifier of the data set without its last layer; `inception`;
            `dinov2` or `clip`, see `bench.metrics.extractors.vision_transformers`; or a file, see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images.
        extractor_seed: Seed of the domain classifier.
        class_sizes: Which real images are taken where their classes differ in size: `all`; or
            `as-samples`, equally many of each class if the samples are, else all.
    """

    needs_labels = False
    later_options: ClassVar[tuple[str, ...]] = ("class_sizes",)

    extractor: ExtractorOption = "domain"
    against: RealSplit = "train"
    extractor_seed: int = 0
    class_sizes: Literal["as-samples", "all"] = "as-samples"

    def compare(self, samples: SampleSet, context: Context) -> FeatureComparison:
        """Choose the network and the images; no features are computed yet."""
        context.require_images()
        extractor = choose_feature_extractor(context, self.extractor, self.extractor_seed)
        equal = self.class_sizes == "as-samples" and samples.is_balanced
        real = real_like(samples, context, self.against, equal=equal)
        return FeatureComparison(context, extractor, sampled(samples), real, self.against)


@dataclass(frozen=True, kw_only=True)
class FeatureDistance(FeatureMetric):
    """A distance of features, between the whole sets and, if asked for, within the classes.

    Attributes:
        per_class: Whether to measure `<name>/per_class` too, the mean over the classes of the
            distances within them.
    """

    per_class: bool = False

    def details(self, sizes: tuple[int, int]) -> tuple[str, ...]:
        """Return what the protocol says besides the images, given the sizes of both sets."""
        return ()

    @abstractmethod
    def too_few(self, comparison: FeatureComparison, sizes: tuple[int, int], unit: str) -> str:
        """Return why sets of these sizes are too small; empty if they are not."""

    @abstractmethod
    def distance(self, samples: Tensor, real: Tensor, whole: FeatureComparison | None) -> float:
        """Return the distance of features `[N, D]`, those of a whole comparison if it is given."""

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the distance, and that within the classes if asked for."""
        comparison = self.compare(samples, context)
        first, second = comparison.samples, comparison.real
        measured = [self._measure(comparison, self.name, (len(first), len(second)), "")]
        if self.per_class and samples.labeled:
            sizes = first.per_class, second.per_class
            measured.append(self._measure(comparison, f"{self.name}/per_class", sizes, " a class"))
        return measured

    def _measure(
        self, comparison: FeatureComparison, name: str, sizes: tuple[int, int], unit: str
    ) -> Measurement:
        average = comparison.average("macro" if unit else "micro")
        protocol = comparison.protocol(name, *self.details(sizes), *average)
        reason = comparison.reason or self.too_few(comparison, sizes, unit)
        if reason:
            return Measurement(name, protocol, None, reason)
        samples, real = comparison.features()
        if not unit:
            return Measurement(name, protocol, self.distance(samples, real, comparison))
        pairs = zip(comparison.samples.members, comparison.real.members, strict=True)
        distances = [self.distance(samples[a], real[b], None) for a, b in pairs]
        return Measurement(name, protocol, float(np.mean(distances)))
