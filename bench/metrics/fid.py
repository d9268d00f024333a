"""The Fréchet distance of two sets of images, each taken for a Gaussian in feature space."""

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from bench.errors import BenchError
from bench.metrics.base import Context, Direction, Measurement, SampleSet
from bench.metrics.comparison import Against, Comparison, FeatureMetric, Judged
from bench.metrics.extractors.choice import ExtractorChoice
from bench.metrics.extractors.feature_cache import Features

Array = np.ndarray[Any, np.dtype[np.float64]]


class Moments(NamedTuple):
    """Mean `[D]` and covariance `[D, D]` of features, in `float64`."""

    mean: Array
    covariance: Array


class FrechetDistance(FeatureMetric):
    r"""Fréchet distance (Heusel et al. 2017, equation 6), computed by torch-fidelity.

    .. math:: \lVert \mu_1 - \mu_2 \rVert^2
              + \operatorname{Tr}\left(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}\right)

    What the literature calls FID is this distance of Inception features, between 50 000 samples
    and the training images: `extractor: inception` and as many samples. From the features of the
    domain classifier, the default, it is a Fréchet distance and no FID; the protocol says which.

    Fewer samples make it larger, so compare only equal `n`, as columns do. Sets that are not larger
    than the number of features have singular covariances. The distance stays defined, and is
    computed correctly, but then most of it is bias: so it is refused, with the number that would
    be enough. `kid` has no such bias.

    Args:
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images; see `FeatureMetric`.
        per_class: Also the mean over the classes of the distances within them, `fid/per_class`.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "fid"
    direction: ClassVar[Direction] = "lower"

    def __init__(
        self,
        *,
        extractor: ExtractorChoice = "domain",
        against: Against = "train",
        per_class: bool = False,
        extractor_seed: int = 0,
    ) -> None:
        super().__init__(extractor=extractor, against=against, extractor_seed=extractor_seed)
        self.per_class = per_class

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the distance, and that within the classes if asked for.

        Args:
            samples: Generated or real images.
            context: The data, the device, the caches and the file of the Inception weights.

        Returns:
            One or two figures.

        Raises:
            NotApplicable: Where there is no network to judge.
        """
        pair = self.compare(samples, context)
        found = [self._measured(pair, "fid", len(pair.made), len(pair.real), "")]
        if self.per_class:
            sizes = pair.made.per_class, pair.real.per_class
            found.append(self._measured(pair, "fid/per_class", *sizes, " a class"))
        return found

    def _measured(
        self, pair: Comparison, metric: str, made: int, real: int, unit: str
    ) -> Measurement:
        """Return one figure of sets of `made` and `real` images, or why there is none."""
        protocol = pair.protocol(metric)
        width = pair.extractor.width
        reason = pair.reason
        if not reason and min(made, real) <= width:
            few = f"{made} samples" if made <= real else f"{real} {pair.kind} images"
            reason = (
                f"{few}{unit} are too few for {width} features, whose covariance would be "
                f"singular: {width + 1} are needed; kid does with fewer"
            )
        if reason:
            return Measurement(metric, protocol, None, reason)
        judged = pair.judged()
        value = _within_classes(pair, judged) if unit else _between_sets(pair, judged)
        return Measurement(metric, protocol, value)


def moments(features: Features) -> Moments:
    """Return mean and covariance (divided by `N - 1`) of at least 2 rows, in two passes.

    torch-fidelity's own function takes the mean of `float32` features in `float32`, and holds three
    `float64` copies of all of them; this one holds one part.
    """
    if len(features) < 2:
        raise BenchError(f"a covariance needs at least 2 images, got {len(features)}")
    total = torch.zeros(features.width, dtype=torch.float64)
    for block in features.blocks():
        total += block.sum(dim=0)
    mean = total / len(features)
    products = torch.zeros(features.width, features.width, dtype=torch.float64)
    for block in features.blocks():
        block -= mean
        products.addmm_(block.T, block)
    return Moments(mean.numpy(), (products / (len(features) - 1)).numpy())


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the Fréchet distance of two Gaussians.

    Singular covariances are allowed: the roots of eigenvalues that should be 0 then add an error of
    about 1e-7 of the traces. What that makes negative is 0.

    Args:
        first: Moments of one set.
        second: Moments of the other.

    Returns:
        The (squared) distance, at least 0.

    Raises:
        BenchError: If it is not finite.

    Example:
        >>> unit = Moments(np.zeros(3), np.eye(3))
        >>> frechet_distance(unit, Moments(np.full(3, 2.0), 9 * np.eye(3)))  # 3 * (2² + (3 - 1)²)
        24.0
    """
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    if not all(np.isfinite(part).all() for part in (*first, *second)):
        raise BenchError("the moments of the features are not finite")
    # Told not to be verbose: it prints the distance under the name of the Inception network.
    table = [{"mu": mean, "sigma": covariance} for mean, covariance in (first, second)]
    value = fid_statistics_to_metric(*table, False)["frechet_inception_distance"]
    if not np.isfinite(value):
        raise BenchError(f"the Fréchet distance of the features is {value}")
    return max(0.0, float(value))


def _between_sets(pair: Comparison, judged: Judged) -> float:
    place = f"moments {pair.extractor.name} {pair.real.name}"
    known = pair.context.extractors
    if place not in known:
        known[place] = moments(judged.real)
    real = known[place]
    assert isinstance(real, Moments)
    return frechet_distance(moments(judged.made), real)


def _within_classes(pair: Comparison, judged: Judged) -> float:
    distances = [
        frechet_distance(*(moments(part) for part in pair.of_class(judged, label)))
        for label in range(pair.made.classes)
    ]
    return float(np.mean(distances))
