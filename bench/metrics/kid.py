"""The kernel distance of two sets of images: FID's question without its bias."""

from typing import ClassVar

import numpy as np
import torch

from bench.errors import BenchError
from bench.metrics.base import Context, Direction, Measurement, SampleSet
from bench.metrics.comparison import Against, Comparison, FeatureMetric
from bench.metrics.extractors.choice import ExtractorChoice
from bench.metrics.extractors.feature_cache import Features

SUBSET_SEED = 2020  # torch-fidelity's; part of the definition


class KernelDistance(FeatureMetric):
    r"""Kernel distance (KID of Bińkowski et al. 2018, section 4), with torch-fidelity's kernel.

    .. math:: \mathrm{MMD}^2 \text{ with } k(x, y) = \left(\tfrac1D x^\top y + 1\right)^3

    The mean of the unbiased estimate over random subsets: for independent draws from equal
    distributions it is 0 on average, whatever their number. Sets with equally many images of each
    class are more alike than independent draws, so a perfect generator scores slightly less than 0,
    as the row of the real images shows (see `PRECISION.md`); within the classes it does not.
    What the literature calls KID takes Inception features; see `fid`.

    Args:
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        against: Split of the real images; see `FeatureMetric`.
        subsets: Number of subsets; they are the same ones every time.
        subset_size: Images of each side in a subset; fewer where there are fewer, which the
            protocol tells.
        per_class: Also the mean over the classes of the distances within them, `kid/per_class`.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "kid"
    direction: ClassVar[Direction] = "lower"

    def __init__(
        self,
        *,
        extractor: ExtractorChoice = "domain",
        against: Against = "train",
        subsets: int = 100,
        subset_size: int = 1000,
        per_class: bool = False,
        extractor_seed: int = 0,
    ) -> None:
        if subsets < 1:
            raise ValueError(f"subsets must be at least 1, got {subsets}")
        if subset_size < 2:
            raise ValueError(f"subset_size must be at least 2, got {subset_size}")
        super().__init__(extractor=extractor, against=against, extractor_seed=extractor_seed)
        self.subsets = subsets
        self.subset_size = subset_size
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
        found = [self._measured(pair, len(pair.made), len(pair.real), within=False)]
        if self.per_class:
            sizes = pair.made.per_class, pair.real.per_class
            found.append(self._measured(pair, *sizes, within=True))
        return found

    def _measured(self, pair: Comparison, made: int, real: int, *, within: bool) -> Measurement:
        """Return one figure of sets of `made` and `real` images, or why there is none."""
        metric = "kid/per_class" if within else "kid"
        size = min(self.subset_size, made, real)
        protocol = pair.protocol(metric, f"subsets={self.subsets}x{size}")
        reason = pair.reason
        if not reason and size < 2:
            reason = f"one image{' a class' if within else ''} makes no pair: 2 are needed"
        if reason:
            return Measurement(metric, protocol, None, reason)
        judged = pair.judged()
        parts = (
            [pair.of_class(judged, label) for label in range(pair.made.classes)]
            if within
            else [judged]
        )
        distances = [kernel_distance(*part, self.subsets, size) for part in parts]
        return Measurement(metric, protocol, float(np.mean(distances)))


def kernel_distance(first: Features, second: Features, subsets: int, size: int) -> float:
    """Return the mean unbiased squared MMD of random subsets, with the cubic kernel.

    The subsets and every figure are those of torch-fidelity's `kid_features_to_metric`. That is not
    called because it computes in `float32` what it is given in `float32`, in which the difference
    of large means loses digits, and `float64` copies of all features would not fit the memory.

    Args:
        first: One set, at least `size` rows.
        second: The other, at least `size` rows.
        subsets: Number of subsets.
        size: Rows of each side in a subset, at least 2.

    Returns:
        The distance; may be negative.

    Raises:
        BenchError: If it is not finite.
    """
    from torch_fidelity.metric_kid import kernel_mmd

    if size == len(first) == len(second):
        subsets = 1  # all of them would be the same
    random = np.random.RandomState(SUBSET_SEED)
    values = []
    for _ in range(subsets):
        rows = (random.choice(len(side), size, replace=False) for side in (first, second))
        ours, others = (torch.from_numpy(part) for part in rows)
        values.append(kernel_mmd(first.take(ours).numpy(), second.take(others).numpy()))
    found = float(np.mean(values))
    if not np.isfinite(found):
        raise BenchError(f"the kernel distance of the features is {found}")
    return found
