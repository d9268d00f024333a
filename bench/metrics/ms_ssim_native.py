"""MS-SSIM of all pairs as in 2017: images keep their size, and the window shrinks to fit.

Most GAN papers of 2017 and 2018 took the MS-SSIM of the TensorFlow models repository, whose window
is never larger than the image. Its numbers differ from those of `bench.metrics.ms_ssim`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.metrics.ms_ssim import C1, C2, SIGMA, WEIGHTS, WINDOW, check_images

CHUNK = 100  # images that are compared with one image at a time


def all_pairs_native_ms_ssim(images: Tensor) -> Tensor:
    r"""MS-SSIM of all pairs of images at their own size, in `float64`.

    .. math:: \prod_{s<5} \overline{c_s}^{\,w_s} \cdot \overline{l_5 c_5}^{\,w_5}

    with `c` and `l` as in `bench.metrics.ms_ssim`. At each scale the Gaussian window has
    `min(11, height, width)` pixels a side and a width of 1.5/11 of that, without padding. The next
    scale is the mean of 2x2 pixels, where the last row or column of an odd side counts twice. Maps
    are averaged over pixels and channels together. Means below 0 count as 0, where the TensorFlow
    code gives NaN.

    There are always five scales: an image of one pixel halves to itself, as in TensorFlow. It has
    no structure (`c = 1`) and is compared by its luminance alone. So 8x8 images have the sides 8,
    4, 2, 1 and 1, and the last two scales see only the mean of the image.

    Images are `float64` `[N, C, H, W]` in `[0, 1]`. Values are in `[0, 1]`, one for each pair, in
    the order of `torch.triu_indices(N, N, 1)`.

    >>> image = torch.linspace(0, 1, 64, dtype=torch.float64).reshape(1, 1, 8, 8)
    >>> round(all_pairs_native_ms_ssim(torch.cat((image, image))).item(), 12)
    1.0
    """
    check_images(images, torch.float64)
    result = images.new_ones(len(images) * (len(images) - 1) // 2)
    for index, weight in enumerate(WEIGHTS):
        last = index == len(WEIGHTS) - 1
        result *= _pair_means(images, luminance=last).clamp_(min=0).pow_(weight)
        height, width = images.shape[2:]
        even = F.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
        images = F.avg_pool2d(even, 2)
    return result


def _pair_means(images: Tensor, *, luminance: bool) -> Tensor:
    """Return the means of the contrast-structure maps of all pairs at one scale, `[pairs]`."""
    height, width = images.shape[2:]
    window = min(WINDOW, height, width)
    down, across = (_blur(side, window).to(images) for side in (height, width))
    mean = down @ images @ across.T
    variance = down @ images.square() @ across.T - mean.square()
    means = []
    for i in range(len(images) - 1):
        for others in torch.split(torch.arange(i + 1, len(images), device=images.device), CHUNK):
            both = mean[i] * mean[others]
            covariance = down @ (images[i] * images[others]) @ across.T - both
            ratio = (2 * covariance + C2) / (variance[i] + variance[others] + C2)
            if luminance:
                squares = mean[i].square() + mean[others].square()
                ratio *= (2 * both + C1) / (squares + C1)
            means.append(ratio.mean(dim=(1, 2, 3)))
    return torch.cat(means)


def _blur(side: int, window: int) -> Tensor:
    """Return the Gaussian blur of a side without padding, `[side - window + 1, side]`."""
    distance = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = torch.exp(-distance.square() / (2 * (SIGMA * window / WINDOW) ** 2))
    weights /= weights.sum()
    rows = [F.pad(weights, (row, side - window - row)) for row in range(side - window + 1)]
    return torch.stack(rows)
