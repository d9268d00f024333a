"""Inpainting: a model fills in what an image lacks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import Split, to_float
from bench.data.files.arrays import POINTS
from bench.metrics.base import Context, Measurement, Quantity
from bench.metrics.encoder_decoder import BATCH, EncoderDecoder, EncodingMetric
from bench.metrics.reconstruction import psnr, psnr_protocol, squared_errors

AROUND = {"eyes": ("left_eye", "right_eye"), "nose_mouth": ("nose", "mouth_left", "mouth_right")}
"""Regions around landmarks."""


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

    Where images have landmarks, `eyes` and `nose_mouth` are regions too: rectangles around these
    points, wider on each side by a third of the size of the face, which is the distance of the
    eyes, or from between them to the middle of the mouth if that is larger. The paper has such
    regions and does not say how large they are.

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
        for name, region in regions(test).items():
            parts = (torch.split(part, BATCH) for part in (test.x, test.y, region))
            batches = zip(*parts, strict=True)
            errors = torch.cat([_errors(coder, context.device, *batch) for batch in batches])
            where = f"{how},region=landmarks+1/3" if name in AROUND else how
            of_mse.append(
                Measurement(f"inpainting_mse/{name}", f"mse[8bit,{where}]", errors.mean().item())
            )
            protocol = psnr_protocol(where)
            of_psnr.append(Measurement(f"inpainting_psnr/{name}", protocol, psnr(errors)))
        return of_mse + of_psnr


def regions(images: Split) -> dict[str, Tensor]:
    """Return the hidden region of each corruption by name: `bool` `[N, 1, H, W]`, true inside.

    >>> black = Split(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1))
    >>> regions(black)["center"].int().tolist()
    [[[[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]]]
    """
    height, width = images.x.shape[2:]
    right, bottom, center = torch.zeros(3, height, width, dtype=torch.bool)
    right[:, width // 2 :] = True
    bottom[height // 2 :] = True
    top, left = height // 4, width // 4
    center[top : top + height // 2, left : left + width // 2] = True
    found = {"right_half": right, "bottom_half": bottom, "center": center}
    found = {name: region.expand(len(images), 1, -1, -1) for name, region in found.items()}
    if images.landmarks is not None:
        for name, points in AROUND.items():
            found[name] = _around(images.landmarks, points, height, width)
    return found


def _around(landmarks: Tensor, points: tuple[str, ...], height: int, width: int) -> Tensor:
    """Return the rectangle around some landmarks `[N, 5, 2]`; it has at least one pixel."""
    left_eye, right_eye, _, *mouth = landmarks.unbind(dim=1)
    down = (sum(mouth) - left_eye - right_eye) / 2
    size = torch.maximum((right_eye - left_eye).norm(dim=1), down.norm(dim=1))[:, None]
    some = landmarks[:, [POINTS.index(point) for point in points]]
    low, high = some.amin(dim=1) - size / 3, some.amax(dim=1) + size / 3
    inside = []
    for axis, count in enumerate((width, height)):
        first = low[:, axis, None].floor().clamp(0, count - 1)
        pixel = torch.arange(count)
        inside.append((pixel == first) | ((pixel > first) & (pixel < high[:, axis, None])))
    return (inside[1][:, :, None] & inside[0][:, None])[:, None]


def corrupt(x: Tensor, region: Tensor) -> Tensor:
    """Return `uint8` images `[B, C, H, W]` as floats in `[-1, 1]`, with mid-grey in a region.

    The region is `bool` `[B, 1, H, W]`.
    """
    return to_float(x).masked_fill(region, 0)


def fill_in(coder: EncoderDecoder, x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Return what a model decodes from `uint8` images `[B, C, H, W]` whose region is hidden."""
    return coder.decode(coder.encode(corrupt(x, region), y), y)


def _errors(
    coder: EncoderDecoder, device: torch.device, x: Tensor, y: Tensor, region: Tensor
) -> Tensor:
    """Return the mean squared error inside the region of each image, `[B]`, on the device."""
    filled = fill_in(coder, x, y, region)
    x, filled, region = (part.to(device) for part in (x, filled, region))
    errors = squared_errors(x, filled).mean(dim=1, keepdim=True)
    return (errors * region).flatten(1).sum(dim=1) / region.flatten(1).sum(dim=1)
