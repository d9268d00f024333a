"""How well a model gives real images back."""

import math
from typing import ClassVar

import torch
from pytorch_msssim import ssim
from torch import Tensor

from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.codes import BATCH, Coder
from bench.metrics.comparison import chosen
from bench.metrics.extractors.lpips import SMALLEST, perceptual_distance

WINDOW, SIGMA = 11, 1.5
ROUNDING = 1 / 12 / 255**2  # mean squared error of rounding to 8 bits


class Reconstruction(Metric):
    """Errors of real test images that are encoded and decoded, judged as 8-bit images in `[0, 1]`.

    `reconstruction_mse` is the mean squared error of all values. `reconstruction_psnr` is the mean
    over images of `-10 log10(mse)` in decibels; an error below that of rounding to 8 bits counts as
    that, so that a perfect image has 58.9 dB and not infinitely many. `reconstruction_ssim` is the
    structural similarity of Wang et al. (2004) by `pytorch_msssim`, without padding: a Gaussian
    window of 11 pixels and deviation 1.5. Where the image is smaller the window is the largest odd
    one that fits, with the deviation scaled alike: 7 pixels and 0.95 for 8x8, at four places.
    `reconstruction_lpips` is the mean LPIPS, where the file of its weights is given.

    Codes are posterior means. A model that cannot do without the label is given the true one, and
    its figures stand in a column of their own (`label=given`): ten classes are 3.3 bits for free.

    Args:
        most: Test images at most, chosen at random.
    """

    name: ClassVar[str] = "reconstruction"
    direction: ClassVar[Direction] = "lower"

    def __init__(self, *, most: int = 5000) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self.most = most

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return four figures.

        Args:
            samples: Not looked at.
            context: The model, and the test images.

        Returns:
            The squared error, the peak signal-to-noise ratio, the structural similarity and LPIPS.

        Raises:
            NotApplicable: If there is no model, it has no encoder, or the data are no images.
        """
        coder = Coder(context)
        if not coder.spec.is_image:
            raise NotApplicable(f"{coder.spec.name} are no images")
        test = chosen(context.data.test, self.most)
        made = coder.images(coder.codes(test.x, test.y), test.y)
        errors = squared_errors(test.x, made).flatten(1).mean(dim=1)
        window, sigma = ssim_window(coder.spec.shape)
        how = f"{coder.label},codes=mean,n={len(test)}"
        return [
            Measurement("reconstruction_mse", f"mse[8bit,{how}]", errors.mean().item()),
            Measurement("reconstruction_psnr", psnr_protocol(how), psnr(errors)),
            Measurement(
                "reconstruction_ssim",
                f"ssim[8bit,window={window},sigma={sigma:.2f},{how}]",
                similarity(test.x, made, window, sigma),
            ),
            _perceptual(context, test.x, made, how),
        ]


def _perceptual(context: Context, x: Tensor, made: Tensor, how: str) -> Measurement:
    try:
        judge = perceptual_distance(context)
    except NotApplicable as reason:
        return Measurement("reconstruction_lpips", "", None, str(reason))
    batches = zip(torch.split(x, BATCH), torch.split(made, BATCH), strict=True)
    distances = torch.cat([judge.of(*batch) for batch in batches]).double()
    protocol = f"lpips[extractor={judge.name},side>={SMALLEST},{how}]"
    return Measurement("reconstruction_lpips", protocol, distances.mean().item())


def squared_errors(x: Tensor, made: Tensor) -> Tensor:
    """Return the squared differences of `uint8` images as numbers in `[0, 1]`, `float64`."""
    return ((x.double() - made.double()) / 255).square()


def psnr(errors: Tensor) -> float:
    """Return the peak signal-to-noise ratio, a mean over images.

    Args:
        errors: Mean squared error of each image `[N]`, of values in `[0, 1]`.

    Returns:
        Decibels, at most 58.9.

    Example:
        >>> round(psnr(torch.tensor([0.01, 0.0001])), 4)
        30.0
    """
    return (-10 * errors.double().clamp(min=ROUNDING).log10()).mean().item()


def psnr_protocol(how: str) -> str:
    """Return the id of a peak signal-to-noise ratio."""
    return f"psnr[8bit,mean of images,cap={-10 * math.log10(ROUNDING):.1f},{how}]"


def ssim_window(shape: tuple[int, ...]) -> tuple[int, float]:
    """Return the size and the deviation of the window.

    Args:
        shape: `(C, H, W)` of the images.

    Returns:
        Pixels of a side, and pixels of a standard deviation.

    Example:
        >>> ssim_window((3, 32, 32))
        (11, 1.5)
        >>> ssim_window((1, 8, 8))[0]
        7
    """
    side = min(*shape[1:], WINDOW)
    window = side - (side + 1) % 2
    return window, SIGMA * window / WINDOW


def similarity(x: Tensor, made: Tensor, window: int, sigma: float) -> float:
    """Return the structural similarity of `uint8` images, a mean over images."""
    found = [
        ssim(a.double(), b.double(), 255, size_average=False, win_size=window, win_sigma=sigma)
        for a, b in zip(torch.split(x, BATCH), torch.split(made, BATCH), strict=True)
    ]
    return torch.cat(found).mean().item()
