"""KID: the kernel distance of two sets of images, which answers FID's question without its bias."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.base import AtLeastOne, Quantity
from bench.metrics.features.feature_metric import FeatureComparison, FeatureDistance

SUBSET_SEED = 2020  # torch-fidelity's; part of the definition


@dataclass(frozen=True, kw_only=True)
class KernelDistance(FeatureDistance):
    r"""Kernel distance (KID of Bińkowski et al. 2018, section 4), with torch-fidelity's kernel.

    .. math:: \mathrm{MMD}^2 \text{ with } k(x, y) = \left(\tfrac1D x^\top y + 1\right)^3

    The mean of the unbiased estimate over random subsets: for independent draws from equal
    distributions it is 0 on average, whatever their number. Sets with equally many images of each
    class are more alike than independent draws, so a perfect generator scores slightly less than 0,
    as the row of the real images shows (see `PRECISION.md`); within the classes it does not.
    The KID of the literature takes Inception features; see `fid`. The other options are those of
    `FeatureDistance`.

    Attributes:
        subsets: Number of subsets; always the same ones.
        subset_size: Images of each set in a subset at most; the protocol gives their number.
    """

    name = "kid"
    quantities = {"kid": Quantity("Kernel distance", "lower", 4)}

    subsets: AtLeastOne = 100
    subset_size: Annotated[int, Field(ge=2)] = 1000

    def details(self, sizes: tuple[int, int]) -> tuple[str, ...]:
        """Return number and size of the subsets; within larger classes they may be larger."""
        return (f"subsets={self.subsets}x{min(self.subset_size, *sizes)}",)

    def too_few(self, comparison: FeatureComparison, sizes: tuple[int, int], unit: str) -> str:
        """Return why there is no pair of images, or an empty string."""
        return f"one image{unit} makes no pair: 2 are needed" if min(sizes) < 2 else ""

    def distance(self, samples: Tensor, real: Tensor, whole: FeatureComparison | None) -> float:
        """Return the kernel distance."""
        size = min(self.subset_size, len(samples), len(real))
        return kernel_distance(samples, real, self.subsets, size)


def kernel_distance(first: Tensor, second: Tensor, subsets: int, size: int) -> float:
    """Return the mean unbiased squared MMD of random subsets, with the cubic kernel.

    Subsets and values are those of torch-fidelity's `kid_features_to_metric`. That function is not
    called since it computes in `float32` where features are `float32`, so the difference of large
    means loses digits, and since `float64` copies of all features would not fit in memory. Its
    estimate of one subset is called for features on a CPU.

    Features are `[N, D]` with `N` at least `size`, which is at least 2. The distance may be
    negative; a `BenchError` says if it is not finite.
    """
    from torch_fidelity.metric_kid import kernel_mmd

    if size == len(first) == len(second):
        subsets = 1  # all of them would be the same
    random = np.random.RandomState(SUBSET_SEED)
    values = []
    for _ in range(subsets):
        indices = (random.choice(len(side), size, replace=False) for side in (first, second))
        x, y = (
            side[torch.from_numpy(chosen).to(side.device)].double()
            for side, chosen in zip((first, second), indices, strict=True)
        )
        is_on_cpu = x.device.type == "cpu"
        values.append(kernel_mmd(x.numpy(), y.numpy()) if is_on_cpu else unbiased_mmd(x, y))
    value = float(np.mean(values))
    if not np.isfinite(value):
        raise BenchError(f"the kernel distance of the features is {value}")
    return value


def unbiased_mmd(first: Tensor, second: Tensor) -> float:
    """Return torch-fidelity's estimate of two sets of equal size, `float64`, on their device."""
    size, width = first.shape
    pairs = ((first, first), (second, second), (first, second))
    own, other, between = ((x @ y.T / width + 1) ** 3 for x, y in pairs)
    within = own.sum() - own.trace() + other.sum() - other.trace()
    return (within / (size * (size - 1)) - 2 * between.mean()).item()
