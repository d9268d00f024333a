"""MS-SSIM of all pairs of images, many times as fast as pair by pair.

Means and variances are computed once for each image; a pair then costs one blur at each scale. The
blur is two products with a banded matrix, block by block along the band, since a depthwise
convolution waits for memory. Pairs are computed in chunks that stay in the processor's cache.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first: Wang, Simoncelli & Bovik (2003), section 3.2."""

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
"""The two stabilizing constants for a data range of 1."""

SMALLEST_SIDE = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""At the coarsest scale the window must still fit into the image."""

BLOCK = 24  # output rows a block of the band: fewer wasted products, still a full register tile
CHUNK_BYTES = {"cpu": 2**22, "cuda": 2**28}
"""Size of one map of the pairs that are computed together: two of them fit into a cache. The memory
needed is about four such maps and the images' statistics."""


class _Scale(NamedTuple):
    """All images at one scale, with their statistics.

    `M` and `V` are height and width of a blur without padding. The height comes first, so that a
    blur of all images along it is one matrix product.
    """

    images: Tensor  # [H, N, C, W], each image and channel shifted to a mean of 0
    mean: Tensor  # [M, N, C, V], of the shifted images, less `shift * lost`
    energy: Tensor  # [M, N, C, V]: half the variance plus C2 / 4
    shift: Tensor  # [N, C, 1], what was subtracted
    lost: float  # 1 minus the sum of the two-dimensional window


def all_pairs_ms_ssim(images: Tensor) -> Tensor:
    r"""MS-SSIM of all pairs of images.

    .. math:: \prod_{s<5} \overline{c_s}^{\,w_s} \cdot \overline{l_5 c_5}^{\,w_5}, \qquad
              c = \frac{2\sigma_{xy} + C_2}{\sigma_x^2 + \sigma_y^2 + C_2}, \quad
              l = \frac{2\mu_x\mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1}

    Wang, Simoncelli & Bovik (2003), equation 7, with the choices of `pytorch_msssim.ms_ssim` at
    `data_range=1`: an 11-pixel Gaussian window of width 1.5 without padding, 2x2 means between
    the scales, means of a channel clamped at 0, channels averaged last. Images are shifted by
    their mean first: covariances do not change and lose fewer digits.

    Args:
        images: Floating point `[N, C, H, W]` in `[0, 1]`; both sides at least 161 pixels.

    Returns:
        One value for each pair, in `[0, 1]`, in the order of `torch.triu_indices(N, N, 1)`, with
        type and device of the images.
    """
    check_images(images, torch.float32, torch.float64)
    if min(images.shape[2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"MS-SSIM with {len(WEIGHTS)} scales and a {WINDOW}-pixel window needs sides of at "
            f"least {SMALLEST_SIDE} pixels, got {list(images.shape[2:])}"
        )
    n, channels = images.shape[:2]
    result = images.new_ones(n * (n - 1) // 2, channels)
    with torch.inference_mode(), _full_precision():
        band = _band(images)
        level = images
        for index, weight in enumerate(WEIGHTS):
            last = index == len(WEIGHTS) - 1
            factor = _pair_means(_describe(level, band), band, last)
            result *= factor.clamp_(min=0).pow_(weight)
            if not last:  # zero padding of odd sides counts in the mean, as in pytorch_msssim
                level = F.avg_pool2d(level, 2, padding=[s % 2 for s in level.shape[2:]])
        return result.mean(dim=1)


def _pair_means(scale: _Scale, band: Tensor, luminance: bool) -> Tensor:
    """Return the means of the contrast-structure maps of all pairs, `[pairs, C]`.

    With `luminance` the maps are multiplied by the luminance term, as at the coarsest scale.
    """
    images, mean, energy, shift, lost = scale
    height, n, channels, width = images.shape
    rows, _, _, columns = mean.shape
    chunk = CHUNK_BYTES.get(images.device.type, 2**22)
    most = max(1, min(n - 1, chunk // (height * channels * width * images.element_size())))
    # Work space is taken once: giving it back to the system after every chunk costs more
    # than the arithmetic.
    space = [images.new_empty(most * channels * height * width) for _ in range(3)]
    result = images.new_empty(n * (n - 1) // 2, channels)
    done = 0
    for i in range(n - 1):
        for j in range(i + 1, n, most):
            these, others = slice(i, i + 1), slice(j, min(j + most, n))
            b = others.stop - j
            product = _view(space[0], height, b, channels, width)
            halved = _view(space[1], rows, b, channels, width)
            covariance = _view(space[0], rows, b, channels, columns)
            denominator = _view(space[2], rows, b, channels, columns)

            torch.mul(images[:, these], images[:, others], out=product)
            _blur(product, halved, covariance, band)
            covariance.addcmul_(mean[:, these], mean[:, others], value=-1)
            covariance.add_(shift[these] * shift[others] * lost + C2 / 2)
            torch.add(energy[:, these], energy[:, others], out=denominator)
            ratio = covariance.div_(denominator)
            if luminance:
                x, y = mean[:, these] + shift[these], mean[:, others] + shift[others]
                ratio *= (2 * x * y + C1) / (x.square() + y.square() + C1)
            result[done : done + b] = ratio.mean(dim=(0, 3))
            done += b
    return result


def _describe(level: Tensor, band: Tensor) -> _Scale:
    """Return the statistics of all images `[N, C, H, W]` of one scale, one image at a time.

    Rounded to float32, the window sums to `1 - lost` in two dimensions, with `lost` about 1e-7, so
    a shift changes the covariance of the formula a little: in flat regions by its fifth digit. The
    correction is exact: for `x = x' + a` and `y = y' + b`,
    `blur(xy) - blur(x) blur(y) = blur(x'y') - (blur(x') - lost a)(blur(y') - lost b) + lost a b`.
    """
    n, channels, height, width = level.shape
    rows, columns = height - WINDOW + 1, width - WINDOW + 1
    shift = level.mean(dim=(2, 3)).unsqueeze(2)
    images = level.permute(2, 0, 1, 3) - shift
    mean = level.new_empty(rows, n, channels, columns)
    energy = torch.empty_like(mean)
    halved = level.new_empty(rows, 1, channels, width)
    lost = 1 - float(band[0].double().sum()) ** 2
    for i in range(n):
        one = images[:, i : i + 1].contiguous()
        blurred = level.new_empty(rows, 1, channels, columns)
        mean[:, i : i + 1] = _blur(one, halved, blurred, band) - shift[i] * lost
        variance = _blur(one.square(), halved, blurred, band) - mean[:, i : i + 1].square()
        variance += shift[i].square() * lost
        energy[:, i : i + 1] = variance.div_(2).add_(C2 / 4)
    return _Scale(images, mean, energy, shift, lost)


def _blur(source: Tensor, halved: Tensor, target: Tensor, band: Tensor) -> Tensor:
    """Blur `source` `[H, B, C, W]` into `target` `[M, B, C, V]`, which may share its memory.

    All arguments are contiguous. `halved` `[M, B, C, W]` is work space.
    """
    rows, columns = target.shape[0], target.shape[3]
    tall, half = source.view(source.shape[0], -1), halved.view(rows, -1)
    for r, k in _blocks(rows):
        torch.mm(band[:k, : k + WINDOW - 1], tall[r : r + k + WINDOW - 1], out=half[r : r + k])
    wide, out = halved.view(-1, source.shape[3]), target.view(-1, columns)
    for c, k in _blocks(columns):
        torch.mm(
            wide[:, c : c + k + WINDOW - 1], band[:k, : k + WINDOW - 1].T, out=out[:, c : c + k]
        )
    return target


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    """Return start and length of the blocks of a side."""
    return ((start, min(BLOCK, size - start)) for start in range(0, size, BLOCK))


def _band(like: Tensor) -> Tensor:
    """Return one block of the blur as a matrix `[BLOCK, BLOCK + WINDOW - 1]`."""
    # The window is rounded to float32 for every type, as pytorch_msssim's is.
    distance = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    window = torch.exp(-distance.square() / (2 * SIGMA**2))
    window /= window.sum()
    band = torch.zeros(BLOCK, BLOCK + WINDOW - 1)
    for row in range(BLOCK):
        band[row, row : row + WINDOW] = window
    return band.to(like)


def _view(space: Tensor, *shape: int) -> Tensor:
    return space[: prod(shape)].view(shape)


def check_images(images: Tensor, *dtypes: torch.dtype) -> None:
    """Raise a `ValueError` unless these are at least 2 images `[N, C, H, W]` in `[0, 1]`."""
    if images.ndim != 4 or images.dtype not in dtypes or len(images) < 2:
        raise ValueError(
            f"MS-SSIM needs at least 2 images [N, C, H, W] of {' or '.join(map(str, dtypes))}, "
            f"got {images.dtype} {list(images.shape)}"
        )
    low, high = (float(value) for value in images.aminmax())
    if not (low >= 0 and high <= 1):  # the negation also catches NaN
        raise ValueError(f"images must lie in [0, 1], got values from {low:g} to {high:g}")


@contextmanager
def _full_precision() -> Iterator[None]:
    """Compute matrix products in full float32, whatever precision the training uses."""
    mkldnn = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set at import
    backends = (torch.backends.cuda.matmul, mkldnn)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
