"""MS-SSIM with a shrinking window, against a literal computation in NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.signal import convolve2d

from bench.metrics.ms_ssim import WEIGHTS
from bench.metrics.ms_ssim_native import all_pairs_native_ms_ssim


def literal(first, second, data_range=1.0):
    """Compute the MS-SSIM of two images `[C, H, W]`, pixel by pixel where that is shortest."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    a, b = first.astype(np.float64), second.astype(np.float64)
    value = 1.0
    for scale, weight in enumerate(WEIGHTS):
        size = min(11, *a.shape[1:])
        grid = np.arange(size) - (size - 1) / 2
        distance = grid[:, None] ** 2 + grid[None, :] ** 2
        window = np.exp(-distance / (2 * (1.5 * size / 11) ** 2))
        window /= window.sum()

        def blurred(image, window=window):
            return np.stack([convolve2d(channel, window, mode="valid") for channel in image])

        mean_a, mean_b = blurred(a), blurred(b)
        var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
        structure = (2 * (blurred(a * b) - mean_a * mean_b) + c2) / (var_a + var_b + c2)
        if scale == 4:
            structure *= (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        value *= max(structure.mean(), 0) ** weight
        mask = np.full((1, 2, 2), 0.25)
        a, b = (convolve(image, mask, mode="reflect")[:, ::2, ::2] for image in (a, b))
    return value


def images(n, *shape, seed=0, smooth=False):
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.9 * x[:1] + 0.1 * x if smooth else x


@pytest.mark.parametrize(
    "shape",
    [(1, 8, 8), (3, 32, 32), (1, 64, 64), (3, 16, 16), (1, 13, 21), (2, 1, 1), (1, 5, 40)],
    ids=lambda shape: "x".join(map(str, shape)),
)
@pytest.mark.parametrize("smooth", [False, True], ids=["noise", "alike"])
def test_it_equals_the_literal_computation(shape, smooth):
    x = images(4, *shape, smooth=smooth)
    pairs = zip(*torch.triu_indices(4, 4, 1).tolist(), strict=True)
    expected = [literal(x[i].numpy(), x[j].numpy()) for i, j in pairs]
    assert all_pairs_native_ms_ssim(x).numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_range_255_gives_the_same_as_the_range_1():
    x = images(2, 3, 16, 16, smooth=True)
    expected = literal(255 * x[0].numpy(), 255 * x[1].numpy(), data_range=255)
    assert all_pairs_native_ms_ssim(x).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("side", [1, 2, 8, 9, 32, 64])
def test_an_image_is_like_itself(side):
    x = images(1, 3, side, side).expand(3, -1, -1, -1)
    assert all_pairs_native_ms_ssim(x).numpy() == pytest.approx(1, abs=1e-9)


def test_flat_images_differ_by_their_luminance_alone():
    x = torch.stack([torch.full((1, 8, 8), value).double() for value in (0.2, 0.6)])
    luminance = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert all_pairs_native_ms_ssim(x).item() == pytest.approx(luminance**0.1333, rel=1e-6)


def test_negatives_give_zero_and_no_nan():
    x = images(1, 1, 32, 32)
    assert all_pairs_native_ms_ssim(torch.cat([x, 1 - x])).item() == 0


def test_more_images_than_a_chunk(monkeypatch):
    x = images(7, 1, 8, 8)
    expected = all_pairs_native_ms_ssim(x)
    monkeypatch.setattr("bench.metrics.ms_ssim_native.CHUNK", 2)
    torch.testing.assert_close(all_pairs_native_ms_ssim(x), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            torch.zeros(2, 1, 8, 8),
            r"of torch.float64, got torch.float32 \[2, 1, 8, 8\]",
        ),
        (torch.zeros(1, 1, 8, 8).double(), r"needs at least 2 images .* \[1, 1, 8, 8\]"),
        (torch.zeros(2, 8, 8).double(), r"needs at least 2 images \[N, C, H, W\]"),
        (torch.full((2, 1, 8, 8), 255.0).double(), r"must lie in \[0, 1\], got values from 255"),
        (torch.full((2, 1, 8, 8), float("nan")).double(), "must lie in"),
    ],
    ids=["float32", "single", "no channels", "range", "nan"],
)
def test_unfit_images_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        all_pairs_native_ms_ssim(x)
