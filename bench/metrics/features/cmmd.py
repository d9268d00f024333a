"""CMMD: the distance of two sets of images by a Gaussian kernel of their CLIP embeddings."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.metrics.base import Quantity
from bench.metrics.extractors.extractor_option import ExtractorOption
from bench.metrics.features.distances import blocks
from bench.metrics.features.feature_metric import FeatureComparison, FeatureDistance

SIGMA, SCALE = 10, 1000


@dataclass(frozen=True, kw_only=True)
class ClipDistance(FeatureDistance):
    r"""Maximum mean discrepancy of CLIP embeddings (CMMD of Jayasumana et al. 2024, section 4).

    .. math:: 1000\,\mathrm{MMD}^2 \text{ with }
              k(x, y) = \exp\left(-\frac{\lVert x - y \rVert^2}{2 \cdot 10^2}\right)

    Embeddings are scaled to length 1. The estimate is the one of the authors' code, means over all
    pairs with each image and itself among them: it is at least 0, and for equal distributions of
    the order of `1 / n`, so only equal `n` are compared. Unlike `fid` it takes no Gaussians for
    granted, and needs few images. With another `extractor` it is no CMMD; the protocol names the
    network. The other options are those of `FeatureDistance`.

    Attributes:
        extractor: As in `FeatureMetric`, but CLIP by default.
    """

    name = "cmmd"
    quantities = {"cmmd": Quantity("CMMD", "lower", 3)}

    extractor: ExtractorOption = "clip"

    def details(self, sizes: tuple[int, int]) -> tuple[str, ...]:
        """Return kernel and unit."""
        return (f"sigma={SIGMA},scale={SCALE}",)

    def too_few(self, comparison: FeatureComparison, sizes: tuple[int, int], unit: str) -> str:
        """Return an empty string: one image of each set is enough."""
        return ""

    def distance(self, samples: Tensor, real: Tensor, whole: FeatureComparison | None) -> float:
        """Return the distance; the mean over pairs of real images is kept for other samples."""
        if whole is None:
            return clip_distance(samples, real)
        key = f"cmmd {whole.extractor.name} {whole.real.name}"
        return clip_distance(samples, real, whole.context.remember(key, lambda: _mean(real, real)))


def clip_distance(first: Tensor, second: Tensor, within_second: float | None = None) -> float:
    """Return 1000 times the squared MMD of finite features `[N, D]` and `[M, D]`, in `float64`.

    `within_second` is the mean of the kernel over pairs of the second set, if it is known.

    >>> x = torch.tensor([[1.0, 0.0]])
    >>> round(clip_distance(x, -x), 6)  # at a distance of 2
    39.602653
    """
    if within_second is None:
        within_second = _mean(second, second)
    value = SCALE * (_mean(first, first) + within_second - 2 * _mean(first, second))
    return max(0.0, value)  # rounding may leave less


def _mean(first: Tensor, second: Tensor) -> float:
    """Return the mean of the kernel over all pairs of two sets."""
    second = F.normalize(second.double())
    of_second = second.square().sum(dim=1)
    total = second.new_zeros(())
    for block in blocks(first, second):
        block = F.normalize(block.double())
        squares = block.square().sum(dim=1)[:, None] + of_second - 2 * block @ second.T
        total += torch.exp(squares / (-2 * SIGMA**2)).sum()
    return total.item() / (len(first) * len(second))
