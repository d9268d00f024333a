"""How well a model fills in what an image lacks."""

from typing import ClassVar

import torch
from torch import Tensor

from bench.data.base import to_float
from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.codes import BATCH, Coder
from bench.metrics.comparison import chosen
from bench.metrics.reconstruction import psnr, psnr_protocol, squared_errors


class Inpainting(Metric):
    r"""Errors of real test images inside a region that the model never saw.

    Where `M` is 1 in the region and 0 elsewhere, and :math:`x_{cor}` the image with mid-grey in the
    region, 0 in `[-1, 1]`,

    .. math:: \hat x = M \odot G(E(x_{cor})) + (1 - M) \odot x_{cor}

    Zheng & Sun (2019), section 4.5, who show pictures only. Outside of the region nothing can be
    wrong, so `inpainting_mse` and `inpainting_psnr` are those of `reconstruction`, over the values
    inside. The regions are the right half, the bottom half and the central square of half the
    height and width; of odd sides the right and bottom halves take the larger part. A model that
    says nothing but mid-grey scores the variance of the data around it, not the worst there is.

    Codes are posterior means. A model that cannot do without the label is given the true one
    (`label=given`), all others none: they have to tell from what is left of the image. Models were
    trained on whole images, so a corrupted one is new to all of them.

    Args:
        most: Test images at most, chosen at random.
    """

    name: ClassVar[str] = "inpainting"
    direction: ClassVar[Direction] = "lower"

    def __init__(self, *, most: int = 5000) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self.most = most

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return two figures for each region.

        Args:
            samples: Not looked at.
            context: The model, and the test images.

        Returns:
            Squared errors, then peak signal-to-noise ratios; the region stands in the name.

        Raises:
            NotApplicable: If there is no model, it has no encoder, or the data are no images.
        """
        coder = Coder(context)
        if not coder.spec.is_image:
            raise NotApplicable(f"{coder.spec.name} are no images")
        test = chosen(context.data.test, self.most)
        how = f"fill=mid-grey,{coder.label},codes=mean,n={len(test)}"
        of_mse, of_psnr = [], []
        for name, region in regions(*coder.spec.shape[1:]).items():
            rows = zip(torch.split(test.x, BATCH), torch.split(test.y, BATCH), strict=True)
            errors = torch.cat([_errors(coder, x, y, region) for x, y in rows])
            of_mse.append(
                Measurement(f"inpainting_mse/{name}", f"mse[8bit,{how}]", errors.mean().item())
            )
            of_psnr.append(Measurement(f"inpainting_psnr/{name}", psnr_protocol(how), psnr(errors)))
        return of_mse + of_psnr


def regions(height: int, width: int) -> dict[str, Tensor]:
    """Return the region of each corruption.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        Name -> `bool` `[H, W]`, true inside of the region.

    Example:
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


def fill_in(coder: Coder, x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Return what a model makes of images of which it does not see a region.

    Args:
        coder: The model.
        x: `uint8` `[B, C, H, W]`.
        y: Their classes `[B]`.
        region: `bool` `[H, W]`.

    Returns:
        `uint8` `[B, C, H, W]`; only the region of it belongs into the image.
    """
    return coder.images(coder.codes(corrupt(x, region), y), y)


def _errors(coder: Coder, x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Return the mean squared error inside the region of each image, `[B]`."""
    return squared_errors(x, fill_in(coder, x, y, region))[..., region].flatten(1).mean(dim=1)
