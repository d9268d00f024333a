"""Reconstruction of real images: MSE, PSNR, SSIM and LPIPS."""

import math
from dataclasses import dataclass

import torch
from pytorch_msssim import ssim
from torch import Tensor

from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics.base import Context, Measurement, Quantity
from bench.metrics.encoder_decoder import BATCH, EncoderDecoder, EncodingMetric
from bench.metrics.extractors.lpips import SMALLEST, perceptual_distance
from bench.metrics.ms_ssim import SIGMA, WINDOW

ROUNDING = 1 / 12 / 255**2  # mean squared error of rounding to 8 bits


@dataclass(frozen=True, kw_only=True)
class Reconstruction(EncodingMetric):
    """Errors of real test images that are encoded and decoded, as 8-bit images in `[0, 1]`.

    `reconstruction_mse` is the mean squared error of all values. `reconstruction_psnr` is the mean
    over images of `-10 log10(mse)` in decibels; an error below that of rounding to 8 bits counts as
    that, so that a perfect image has 58.9 dB and not infinitely many. `reconstruction_ssim` is the
    structural similarity of Wang et al. (2004) by `pytorch_msssim`, without padding: a Gaussian
    window of 11 pixels and deviation 1.5, or for smaller images the largest odd window that fits,
    with the deviation scaled alike (7 pixels and 0.95 for 8x8, at four positions).
    `reconstruction_lpips` is the mean LPIPS, if the file of its weights is given.

    Codes are posterior means. A model that needs the label is given the true one, and its
    measurements are in a separate column (`label=given`): ten classes are 3.3 bits for free.
    The option is that of `EncodingMetric`.
    """

    name = "reconstruction"
    quantities = {
        "reconstruction_mse": Quantity("Reconstruction MSE", "lower", 4),
        "reconstruction_psnr": Quantity("Reconstruction PSNR (dB)", "higher", 2),
        "reconstruction_ssim": Quantity("Reconstruction SSIM", "higher", 3),
        "reconstruction_lpips": Quantity("Reconstruction LPIPS", "lower", 3),
    }

    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure the four errors."""
        context.require_images()
        decoded = coder.decode(coder.encode(test.x, test.y), test.y)
        x, decoded = test.x.to(context.device), decoded.to(context.device)
        errors = squared_errors(x, decoded).flatten(1).mean(dim=1)
        window, sigma = ssim_window(coder.spec.shape)
        how = f"{coder.label},codes=mean,n={len(test)}"
        return [
            Measurement("reconstruction_mse", f"mse[8bit,{how}]", errors.mean().item()),
            Measurement("reconstruction_psnr", psnr_protocol(how), psnr(errors)),
            Measurement(
                "reconstruction_ssim",
                f"ssim[8bit,window={window},sigma={sigma:.2f},{how}]",
                mean_ssim(x, decoded, window, sigma),
            ),
            _lpips(context, x, decoded, how),
        ]


def _lpips(context: Context, x: Tensor, decoded: Tensor, how: str) -> Measurement:
    try:
        network = perceptual_distance(context)
    except NotApplicable as reason:
        return Measurement("reconstruction_lpips", "", None, str(reason))
    batches = zip(torch.split(x, BATCH), torch.split(decoded, BATCH), strict=True)
    distances = torch.cat([network.of(*batch) for batch in batches]).double()
    protocol = f"lpips[extractor={network.name},side>={SMALLEST},{how}]"
    return Measurement("reconstruction_lpips", protocol, distances.mean().item())


def squared_errors(x: Tensor, decoded: Tensor) -> Tensor:
    """Return the squared differences of `uint8` images as numbers in `[0, 1]`, `float64`."""
    return ((x.double() - decoded.double()) / 255).square()


def psnr(errors: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio of images, at most 58.9 decibels.

    The errors `[N]` are the mean squared error of each image, of values in `[0, 1]`.

    >>> round(psnr(torch.tensor([0.01, 0.0001])), 4)
    30.0
    """
    return (-10 * errors.double().clamp(min=ROUNDING).log10()).mean().item()


def psnr_protocol(how: str) -> str:
    """Return the protocol of a peak signal-to-noise ratio."""
    return f"psnr[8bit,mean of images,cap={-10 * math.log10(ROUNDING):.1f},{how}]"


def ssim_window(shape: tuple[int, ...]) -> tuple[int, float]:
    """Return side and standard deviation in pixels of the window for images `(C, H, W)`.

    >>> ssim_window((3, 32, 32))
    (11, 1.5)
    >>> ssim_window((1, 8, 8))[0]
    7
    """
    side = min(*shape[1:], WINDOW)
    window = side - (side + 1) % 2
    return window, SIGMA * window / WINDOW


def mean_ssim(x: Tensor, decoded: Tensor, window: int, sigma: float) -> float:
    """Return the structural similarity of `uint8` images, a mean over images."""
    similarities = [
        ssim(a.double(), b.double(), 255, size_average=False, win_size=window, win_sigma=sigma)
        for a, b in zip(torch.split(x, BATCH), torch.split(decoded, BATCH), strict=True)
    ]
    return torch.cat(similarities).mean().item()
