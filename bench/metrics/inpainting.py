"""Inpainting: a model fills in what an image lacks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import Split, to_float
from bench.metrics.base import Context, Measurement, Quantity
from bench.metrics.encoder_decoder import BATCH, EncoderDecoder, EncodingMetric
from bench.metrics.reconstruction import psnr, psnr_protocol, squared_errors


@dataclass(frozen=True, kw_only=True)
class Inpainting(EncodingMetric):
    r"""Errors of real test images inside a region that was hidden from the model.

    Where `M` is 1 in the region and 0 elsewhere, and :math:`x_{cor}` the image with mid-grey in the
    region, 0 in `[-1, 1]`,

    .. math:: \hat x = M \odot G(E(x_{cor})) + (1 - M) \odot x_{cor}

    Zheng & Sun (2019), section 4.5, who show pictures only. `inpainting_mse` and `inpainting_psnr`
    are those of `reconstruction`, over the values inside of each region (`inpainting_mse/center`):
    the right half, the bottom half and the central square of half the height and width; of odd
    sides the halves take the larger part. A model that fills in mid-grey scores the variance of the
    data around it, which is not the worst possible score.

    Codes are posterior means. Only a model that needs the label is given the true one
    (`label=given`). Models were trained on whole images. The option is that of `EncodingMetric`.
    """

    name = "inpainting"
    quantities = {
        "inpainting_mse": Quantity("Inpainting MSE", "lower", 4),
        "inpainting_psnr": Quantity("Inpainting PSNR (dB)", "higher", 2),
    }

    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure squared errors in each region, then peak signal-to-noise ratios."""
        context.require_images()
        how = f"fill=mid-grey,{coder.label},codes=mean,n={len(test)}"
        of_mse, of_psnr = [], []
        for name, region in regions(*coder.spec.shape[1:]).items():
            batches = zip(torch.split(test.x, BATCH), torch.split(test.y, BATCH), strict=True)
            errors = torch.cat([_errors(coder, x, y, region) for x, y in batches])
            of_mse.append(
                Measurement(f"inpainting_mse/{name}", f"mse[8bit,{how}]", errors.mean().item())
            )
            of_psnr.append(Measurement(f"inpainting_psnr/{name}", psnr_protocol(how), psnr(errors)))
        return of_mse + of_psnr


def regions(height: int, width: int) -> dict[str, Tensor]:
    """Return the hidden region of each corruption by name: `bool` `[H, W]`, true inside.

    >>> regions(4, 4)["center"].int().tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    right, bottom, center = torch.zeros(3, height, width, dtype=torch.bool)
    right[:, width // 2 :] = True
    bottom[height // 2 :] = True
    top, left = height // 4, width // 4
    center[top : top + height // 2, left : left + width // 2] = True
    return {"right_half": right, "bottom_half": bottom, "center": center}


def corrupt(x: Tensor, region: Tensor) -> Tensor:
    """Return `uint8` images `[B, C, H, W]` as floats in `[-1, 1]`, with mid-grey in a region."""
    return to_float(x).masked_fill(region, 0)


def fill_in(coder: EncoderDecoder, x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Return what a model decodes from `uint8` images `[B, C, H, W]` whose region is hidden."""
    return coder.decode(coder.encode(corrupt(x, region), y), y)


def _errors(coder: EncoderDecoder, x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Return the mean squared error inside the region of each image, `[B]`."""
    return squared_errors(x, fill_in(coder, x, y, region))[..., region].flatten(1).mean(dim=1)
