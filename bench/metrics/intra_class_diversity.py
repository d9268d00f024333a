"""Diversity within a class: one minus the mean MS-SSIM over all pairs of images of the class."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.metrics.base import Context, Measurement, Quantity, SampleSet, with_mean
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.images_by_class import sampled
from bench.metrics.jackknife import combined_error, pair_variance
from bench.metrics.ms_ssim import SIGMA, SMALLEST_SIDE, WEIGHTS, WINDOW, all_pairs_ms_ssim
from bench.metrics.ms_ssim_native import all_pairs_native_ms_ssim


@dataclass(frozen=True, kw_only=True)
class PairDiversity(GroupedMetric):
    """One minus the mean similarity of all pairs within a class, averaged over the classes.

    Attributes:
        per_class: Images of each class that are compared, all pairs of them. Where there are more,
            their content decides which ones.
    """

    per_class: Annotated[int, Field(ge=2)] = 100

    @abstractmethod
    def protocol(self, images: Tensor, which: str) -> str:
        """Return the protocol for images `[N, C, H, W]`; `which` says which are compared."""

    @abstractmethod
    def similarities(self, images: Tensor) -> Tensor:
        """Return the similarity of each pair of `uint8` images, in the order of `triu_indices`."""

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the diversity, and its standard error where there are three images of a class."""
        context.require_images()
        compared = sampled(samples).first(self.per_class)
        is_equal = compared.is_balanced
        which = f"per_class={compared.per_class}" if is_equal else f"per_class<={self.per_class}"
        protocol = self.protocol(samples.x, which)
        if not is_equal:
            protocol += "[average=macro]"
        if compared.per_class < 2:
            return [Measurement(self.name, protocol, None, "one image a class makes no pair")]
        means, variances = [], []
        for members in compared.members:
            indices = compared.indices[members].sort().values
            pairs = self.similarities(samples.x[indices].to(context.device))
            means.append(pairs.double().mean().item())
            if compared.per_class > 2:
                variances.append(pair_variance(pairs, len(indices)))
        error = combined_error(variances) if variances else None
        return [Measurement(self.name, protocol, 1 - sum(means) / len(means), error=error)]


@dataclass(frozen=True, kw_only=True)
class IntraClassDiversity(PairDiversity):
    r"""One minus the mean MS-SSIM of all pairs within a class, averaged over the classes.

    .. math:: \frac1K \sum_c \Big( 1 - \tfrac{2}{n(n-1)} \sum_{i<j} \text{MS-SSIM}(x_i, x_j) \Big)

    After Ben-Yosef & Weinshall (2018), whom the paper follows; pairs of an image with itself are
    left out. The scale of the paper's values is not reproducible from its text, so compare with the
    row of the real images. Diversity alone rewards noise. Images are enlarged first, since the
    window of `bench.metrics.ms_ssim` does not fit into small ones. The other option is that of
    `PairDiversity`.

    Attributes:
        size: Side in pixels to which images are resized first, bilinearly, with antialiasing where
            they shrink.
    """

    name = "intra_class_diversity"
    quantities = {"intra_class_diversity": Quantity("Intra-class diversity", "real", 4)}

    size: Annotated[int, Field(ge=SMALLEST_SIDE)] = 192

    def protocol(self, images: Tensor, which: str) -> str:
        """Return the protocol: size, resizing, window, scales and pairs."""
        resize = "bilinear-antialias" if self._shrinks(images) else "bilinear"
        return (
            f"1-ms_ssim[size={self.size},resize={resize},window={WINDOW},scales={len(WEIGHTS)},"
            f"{which},pairs=all]"
        )

    def similarities(self, images: Tensor) -> Tensor:
        """Return the MS-SSIM of all pairs of resized images."""
        resized = F.interpolate(
            images.float() / 255,
            size=(self.size, self.size),
            mode="bilinear",
            align_corners=False,
            antialias=self._shrinks(images),
        )
        return all_pairs_ms_ssim(resized.clamp_(0, 1))  # rounding may leave [0, 1] by a last bit

    def _shrinks(self, images: Tensor) -> bool:
        return max(images.shape[2:]) > self.size


@dataclass(frozen=True, kw_only=True)
class AttributeDiversity(IntraClassDiversity):
    """One minus the mean MS-SSIM of all pairs of images that have one attribute, the others free.

    How diverse samples are that were asked for a single attribute (Joy et al., ICLR 2021). The
    other attributes are those of the combinations that have it, all equally often. The first
    measurement is the mean over the attributes; the others are of the attribute that the protocol
    names. The similarity is that of `intra_class_diversity`.

    Attributes:
        per_class: Images with an attribute that are compared at most, but at least one of each
            combination; their content decides which ones.
        size: As in `intra_class_diversity`.
    """

    name = "attribute_diversity"
    quantities = {"attribute_diversity": Quantity("Diversity given one attribute", "real", 4)}

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the mean over the attributes, then each of them with its standard error."""
        context.require_images()
        context.require_attributes()
        every = sampled(samples)
        has = torch.tensor(samples.spec.combinations) == 1
        measured, counts = [], []
        for name, classes in zip(samples.spec.attributes, has.T, strict=True):
            each = max(1, self.per_class // max(1, int(classes.sum())))
            kept = classes[torch.tensor(samples.labels)[every.places]] & (every.turns < each)
            indices = every.indices[kept].sort().values
            counts.append(len(indices))
            protocol = self.protocol(samples.x, f"of={name},images={len(indices)}")
            if len(indices) < 2:
                reason = f"{len(indices)} images with {name} make no pair"
                measured.append(Measurement(self.name, protocol, None, reason))
                continue
            pairs = self.similarities(samples.x[indices].to(context.device))
            error = pair_variance(pairs, len(indices)) ** 0.5 if len(indices) > 2 else None
            value = 1 - pairs.double().mean().item()
            measured.append(Measurement(self.name, protocol, value, error=error))
        sizes = "..".join(map(str, sorted({min(counts), max(counts)})))
        protocol = self.protocol(samples.x, f"images={sizes}")
        return with_mean(measured, protocol)


@dataclass(frozen=True, kw_only=True)
class NativeIntraClassDiversity(PairDiversity):
    """One minus the mean MS-SSIM of all pairs within a class, at the images' own size.

    Like `intra_class_diversity`, but by the MS-SSIM with a shrinking window of most GAN papers of
    2017 and 2018 (`bench.metrics.ms_ssim_native`). Numbers of the two metrics cannot be compared
    with each other. The option is that of `PairDiversity`.
    """

    name = "intra_class_diversity_native"
    quantities = {
        "intra_class_diversity_native": Quantity("Intra-class diversity, native size", "real", 4)
    }

    def protocol(self, images: Tensor, which: str) -> str:
        """Return the protocol: sides, window, range and pairs."""
        return (
            f"1-ms_ssim_native[sides={_sides(images)},window=min({WINDOW};side),"
            f"sigma={SIGMA}*window/{WINDOW},range=1,{which},pairs=all]"
        )

    def similarities(self, images: Tensor) -> Tensor:
        """Return the MS-SSIM of all pairs at their own size."""
        return all_pairs_native_ms_ssim(images.double() / 255)


def _sides(images: Tensor) -> str:
    """Return the sizes of the five scales, for example `32-16-8-4-2` or `4x6-2x3-1x2-1x1-1x1`."""
    height, width = images.shape[2:]
    scales = [(-(-height // 2**step), -(-width // 2**step)) for step in range(len(WEIGHTS))]
    return "-".join(str(h) if height == width else f"{h}x{w}" for h, w in scales)
