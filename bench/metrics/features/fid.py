"""FID: the Fréchet distance of two sets of images, each taken for a Gaussian in feature space."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.errors import BenchError
from bench.metrics.base import Context, Measurement, Quantity, SampleSet
from bench.metrics.extractors import feature_cache
from bench.metrics.extractors.extractor_option import known_width
from bench.metrics.features.feature_metric import FeatureComparison, FeatureDistance
from bench.metrics.features.statistics_file import Moments, read_statistics
from bench.spec.option_files import file_hash

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(FeatureDistance):
    r"""Fréchet distance (Heusel et al. 2017, equation 6), computed by torch-fidelity.

    .. math:: \lVert \mu_1 - \mu_2 \rVert^2
              + \operatorname{Tr}\left(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}\right)

    The FID of the literature is this distance of Inception features, between 50 000 samples and the
    training images: `extractor: inception` and as many samples. Of the features of the domain
    classifier, the default, it is a Fréchet distance but no FID; the protocol names the network.

    Fewer samples give a larger distance, so only equal `n` are compared. Sets that are not larger
    than the number of features have singular covariances: their distance is defined, but mostly
    bias, so it is refused, with the number of images that would be enough. `kid` has no such bias.
    The other options are those of `FeatureDistance`.

    Attributes:
        reference: A file of statistics, see `bench.metrics.features.statistics_file`, in the place
            of the real images of the data set: those that published numbers were measured against.
    """

    name = "fid"
    quantities = {"fid": Quantity("Fréchet distance", "lower", 2)}
    later_options: ClassVar[tuple[str, ...]] = ("reference",)

    reference: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a file that holds no statistics, and options that it leaves no room for."""
        if self.reference is None:
            return
        read_statistics(self.reference)
        other = {"per_class": self.per_class, "groups": self.groups is not None}
        other |= {"against": self.against != "train"}
        if beside := [option for option, given in other.items() if given]:
            raise BenchError(
                f"reference and {beside[0]} exclude each other: the file holds the statistics of "
                "all of its images together, which take the place of the real images"
            )

    def check(self, spec: DataSpec) -> None:
        """Refuse statistics of another number of features than the extractor has."""
        super().check(spec)
        if self.reference and (width := known_width(self.extractor, spec)):
            self._refuse_width(width)

    def _refuse_width(self, width: int) -> None:
        assert self.reference
        if (found := read_statistics(self.reference).width) != width:
            raise BenchError(
                f"{self.reference}: holds statistics of {found} features, the extractor "
                f"{self.extractor if isinstance(self.extractor, str) else self.extractor.path} "
                f"gives {width}; Inception's are 2048"
            )

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the distance from real images, or from the statistics of a file."""
        if self.reference is None:
            return super().measure(samples, context)
        comparison = self.compare(samples, context)
        extractor, count = comparison.extractor, len(comparison.samples)
        self._refuse_width(extractor.width)
        reference = read_statistics(self.reference)
        of_file = f"real=reference@{file_hash(self.reference.expanduser())[:8]}"
        protocol = f"{self.name}[extractor={extractor.name},n={count},{of_file}]"
        reason = self.too_few(comparison, (count, count), "")
        if reference.extractor not in ("", extractor.name):
            reason = f"{self.reference} has features of {reference.extractor}, not of this network"
        if reason:
            return [Measurement(self.name, protocol, None, reason)]
        seen = feature_cache.features(context, extractor, comparison.samples, is_real=False)
        found = moments(seen.to(context.device))
        value = frechet_distance(found, reference.moments, context.device)
        return [Measurement(self.name, protocol, value)]

    def too_few(self, comparison: FeatureComparison, sizes: tuple[int, int], unit: str) -> str:
        """Return why covariances would be singular, or an empty string."""
        width, (samples, real) = comparison.extractor.width, sizes
        if min(sizes) > width:
            return ""
        few = f"{samples} samples" if samples <= real else f"{real} {comparison.kind} images"
        return (
            f"{few}{unit} are too few for {width} features, whose covariance would be "
            f"singular: {width + 1} are needed; kid does with fewer"
        )

    def distance(self, samples: Tensor, real: Tensor, whole: FeatureComparison | None) -> float:
        """Return the Fréchet distance; moments of all real images are kept for other samples."""
        if whole is None:
            return frechet_distance(moments(samples), moments(real), samples.device)
        key = f"moments {whole.extractor.name} {whole.real.name}"
        kept = whole.context.remember(key, lambda: moments(real))
        return frechet_distance(moments(samples), kept, samples.device)


def moments(features: Tensor) -> Moments:
    """Return mean and covariance (divided by `N - 1`) of features `[N, D]` of at least 2 images.

    torch-fidelity's own function takes the mean of `float32` features in `float32` and holds three
    `float64` copies of all features; this one holds one part of them.
    """
    count, width = features.shape
    if count < 2:
        raise BenchError(f"a covariance needs at least 2 images, got {count}")
    total = features.new_zeros(width, dtype=torch.float64)
    for part in torch.split(features, feature_cache.PART):
        total += part.double().sum(dim=0)
    mean = total / count
    products = features.new_zeros(width, width, dtype=torch.float64)
    for part in torch.split(features, feature_cache.PART):
        deviations = part.double() - mean
        products.addmm_(deviations.T, deviations)
    return Moments(mean.cpu().numpy(), (products / (count - 1)).cpu().numpy())


def frechet_distance(first: Moments, second: Moments, device: torch.device = CPU) -> float:
    """Return the Fréchet distance of two Gaussians, computed by torch-fidelity on a CPU.

    On another device two symmetric eigenvalue problems take the place of a general one. Singular
    covariances are allowed: the roots of eigenvalues that should be 0 then add an error of about
    1e-7 of the traces. A distance that this makes negative becomes 0.

    The (squared) distance is at least 0; a `BenchError` says if it is not finite.

    >>> unit = Moments(np.zeros(3), np.eye(3))
    >>> frechet_distance(unit, Moments(np.full(3, 2.0), 9 * np.eye(3)))  # 3 * (2² + (3 - 1)²)
    24.0
    """
    if not all(np.isfinite(part).all() for part in (*first, *second)):
        raise BenchError("the moments of the features are not finite")
    if device.type == "cpu":
        from torch_fidelity.metric_fid import fid_statistics_to_metric

        statistics = [{"mu": mean, "sigma": covariance} for mean, covariance in (first, second)]
        # The last argument is `verbose`, which would print the distance.
        value = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    else:
        value = symmetric_frechet_distance(first, second, device)
    if not np.isfinite(value):
        raise BenchError(f"the Fréchet distance of the features is {value}")
    return max(0.0, float(value))


def symmetric_frechet_distance(first: Moments, second: Moments, device: torch.device) -> float:
    r"""Return the Fréchet distance by eigenvalues of symmetric matrices, which GPUs are good at.

    :math:`\Sigma_1 \Sigma_2` has the eigenvalues of
    :math:`\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}`. Those that rounding makes negative count as 0.
    """
    (mean_1, covariance_1), (mean_2, covariance_2) = (
        (torch.from_numpy(part).to(device) for part in moments) for moments in (first, second)
    )
    variances, axes = torch.linalg.eigh(covariance_1)
    root = axes * variances.clamp_min(0).sqrt()
    roots = torch.linalg.eigvalsh(root.T @ covariance_2 @ root).clamp_min(0).sqrt().sum()
    distance = (mean_1 - mean_2).square().sum() + covariance_1.trace() + covariance_2.trace()
    return float(distance - 2 * roots)
