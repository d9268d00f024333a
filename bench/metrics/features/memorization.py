"""Memorization: whether samples are nearer to training images than to new real images."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.metrics.base import AtLeastOne, Context, Measurement, Quantity, SampleSet, unmeasured
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.extractors.base import FeatureExtractor
from bench.metrics.extractors.extractor_option import ExtractorOption, choose_feature_extractor
from bench.metrics.extractors.feature_cache import features
from bench.metrics.features.distances import nearest_points
from bench.metrics.images_by_class import ImageSet, real_images, sampled


@dataclass(frozen=True)
class RealNeighbors:
    """Samples, and the training and the test image that is nearest to each.

    Attributes:
        context: The data, device and memory.
        extractor: What gives features.
        samples: The samples that are looked at.
        train: All training images.
        test: The test images.
    """

    context: Context
    extractor: FeatureExtractor
    samples: ImageSet
    train: ImageSet
    test: ImageSet

    @cached_property
    def in_train(self) -> tuple[Tensor, Tensor]:
        """Distance of each sample from the nearest training image, and its place in `train`."""
        return self._nearest(self.train)

    @cached_property
    def in_test(self) -> tuple[Tensor, Tensor]:
        """Distance of each sample from the nearest test image, and its place in `test`.

        Where the samples are test images, the nearest other one counts.
        """
        return self._nearest(self.test, itself=self.itself)

    @cached_property
    def itself(self) -> Tensor | None:
        """The place in `test` of each sample, where all are test images, as in the real row."""
        if not self.samples.occurs_in(self.test):
            return None
        places = {name: place for place, name in enumerate(numbered(self.test))}
        return torch.tensor([places.get(name, -1) for name in numbered(self.samples)])

    def beyond_chance(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the terms of both sums of `Memorization`, and which real image is nearest.

        Each is `[N]`; places in `test` come after those in `train`.
        """
        (from_train, of_train), (from_test, of_test) = self.in_train, self.in_test
        is_train = from_train <= from_test
        label = torch.where(is_train, self.train.places[of_train], self.test.places[of_test])
        train, test = (
            torch.bincount(of.places, minlength=of.classes).double()[label]
            for of in (self.train, self.test)
        )
        if self.itself is not None:  # which was not there to be the nearest of its class
            own = torch.where(self.itself < 0, -1, self.test.places[self.itself])
            test -= (own == label).double()
        chance = train / (train + test)
        found = torch.where(from_train == from_test, chance, is_train.double())
        nearest = torch.where(is_train, of_train, len(self.train) + of_test)
        return found - chance, 1 - chance, nearest

    def _nearest(self, images: ImageSet, itself: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return distances `float64` `[N]` and places `[N]`, on the CPU."""
        device = self.context.device
        points, others = (
            features(self.context, self.extractor, of, is_real=is_real).to(device)
            for of, is_real in ((self.samples, itself is not None), (images, True))
        )
        own = None if itself is None else itself.to(device)
        distances, places = nearest_points(points, others, own)
        return distances.cpu(), places.cpu()


@dataclass(frozen=True, kw_only=True)
class Memorization(GroupedMetric):
    r"""Share of the samples that are nearer to a training than to a test image, beyond chance.

    .. math:: \frac{\sum_i (t_i - p_i)}{\sum_i (1 - p_i)}, \qquad
              p_i = \frac{N_{c_i}}{N_{c_i} + M_{c_i}}

    where `t_i` is 1 if the real image nearest to sample `i`, in the distance of features, is a
    training image, and 0 if it is a test image; `c_i` is its class, of which there are `N` training
    and `M` test images. Of equal distances `t_i` is `p_i`. Training and test images of a class are
    alike in all but what the model has seen, so over all divisions into these two 0 is expected of
    new images, good or bad, sharp or blurred, and 100 % of copies. Below 0 are samples that look as
    if test images had been copied.

    Samples with the same nearest image stand or fall with it, so the standard error counts each
    such group as one: samples that are nearly alike, such as those of a collapsed model, tell
    little. Where a single real image is nearest to all of them, there is no standard error.

    It is the share of samples that are closer to training than to held-out data (Platzer &
    Reutterer, 2021), corrected for chance like Cohen's kappa. Thresholds on the distance to
    training images, and the rank statistic of Meehan, Chaudhuri & Dasgupta (2020), compare with
    the distances of test images instead: means of a few new images, which are near to everything,
    look like copies to them, and dimmed copies, which are far from everything, do not.

    Where the samples are the test images, each is compared with the other ones: this row is 0 but
    for chance if the splits are alike. With few test images of a class `p_i` is near 1, and little
    can be seen.

    What is near depends on the features. `pixels` find copies with noise, blur, or less contrast,
    not shifted ones. A network that was trained on other data finds more on larger images
    (`inception`, `dinov2`). The domain classifier has seen the training images, so to it splits
    are not alike, and its numbers are biased. Look at the figure `nearest` before you call
    samples copies: what only looks alike to the features is found, too.

    Attributes:
        extractor: As in `FeatureMetric`.
        most: Number of samples and of test images at most; their content decides which ones.
        extractor_seed: Seed of the domain classifier.
    """

    name = "memorization"
    quantities = {"memorization": Quantity("Memorization (%)", "real", 1)}
    needs_labels = False

    extractor: ExtractorOption = "pixels"
    most: AtLeastOne = 10_000
    extractor_seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the share with its standard error."""
        found = self.neighbors(samples, context)
        seen, train, test = found.samples, found.train, found.test
        protocol = (
            f"memorization[extractor={found.extractor.name},n={len(seen)},"
            f"train={len(train)}@{train.name},test={len(test)}@{test.name}]"
        )
        beyond, possible, nearest = found.beyond_chance()
        if not possible.any():
            reason = "no class of the nearest images has another test image"
            return unmeasured(self.quantities, protocol, reason)
        value = beyond.sum().item() / possible.sum().item()
        error = None
        if nearest.min() != nearest.max():
            sums = clustered_error(beyond - value * possible, nearest)
            error = 100 * sums / possible.sum().item()
        return [Measurement("memorization", protocol, 100 * value, error=error)]

    def neighbors(self, samples: SampleSet, context: Context) -> RealNeighbors:
        """Choose what gives features, and the images: all training and test images."""
        context.require_images()
        extractor = choose_feature_extractor(context, self.extractor, self.extractor_seed)
        seen = sampled(samples).some(self.most)
        classes = range(context.data.spec.classes)
        train = real_images(context, "train", classes, equal=False)
        test = real_images(context, "test", classes, equal=False).some(self.most)
        return RealNeighbors(context, extractor, seen, train, test)


def numbered(images: ImageSet) -> list[tuple[bytes, int]]:
    """Return the hash of each image of a set, and how many equal ones came before it."""
    counts: Counter[bytes] = Counter()
    names = []
    for index in images.indices.tolist():
        key = images.hashes[index]
        names.append((key, counts[key]))
        counts[key] += 1
    return names


def clustered_error(values: Tensor, clusters: Tensor) -> float:
    """Return the standard error of a sum of values `[N]` that go together within clusters `[N]`.

    >>> clustered_error(torch.tensor([2.0, 2.0, 3.0]), torch.tensor([0, 0, 1]))
    5.0
    """
    sums = torch.bincount(clusters, weights=values.double())
    return float(sums.square().sum().sqrt())
