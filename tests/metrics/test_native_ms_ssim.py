"""MS-SSIM with a shrinking window, against a literal computation in NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.signal import convolve2d

from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.ms_ssim import WEIGHTS
from bench.metrics.native_ms_ssim import NativeIntraClassDiversity, all_pairs_native_ms_ssim


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
    monkeypatch.setattr("bench.metrics.native_ms_ssim._CHUNK", 2)
    torch.testing.assert_close(all_pairs_native_ms_ssim(x), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 1, 8, 8), "needs at least 2 float64 images"),
        (torch.zeros(1, 1, 8, 8).double(), "needs at least 2 float64 images"),
        (torch.zeros(2, 8, 8).double(), "needs at least 2 float64 images"),
        (torch.full((2, 1, 8, 8), 255.0).double(), r"must lie in \[0, 1\], got values from 255"),
        (torch.full((2, 1, 8, 8), float("nan")).double(), "must lie in"),
    ],
    ids=["float32", "single", "no channels", "range", "nan"],
)
def test_unfit_images_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        all_pairs_native_ms_ssim(x)


def some(samples, per_class):
    rows = torch.cat([(samples.y == k).nonzero()[:per_class, 0] for k in range(10)])
    return SampleSet(samples.x[rows], samples.y[rows], samples.spec)


def test_diversity_is_the_mean_over_classes_of_one_minus_the_literal_value(real, contexts):
    samples = some(real, 3)
    (found,) = NativeIntraClassDiversity().measure(samples, contexts())
    values = []
    for label in range(10):
        x = samples.x[samples.y == label].numpy() / 255
        values.append(np.mean([1 - literal(x[i], x[j]) for i, j in ((0, 1), (0, 2), (1, 2))]))
    assert found.value == pytest.approx(np.mean(values), rel=1e-9)
    assert found.metric == "intra_class_diversity_native"
    assert found.protocol == (
        "1-ms_ssim_native[sides=8-4-2-1-1,window=min(11;side),sigma=1.5*window/11,range=1,"
        "per_class=3,pairs=all]"
    )


def test_the_protocol_tells_the_sides_of_oblong_images(real, contexts):
    oblong = SampleSet(real.x[:, :, :4, :6], real.y, real.spec)
    (found,) = NativeIntraClassDiversity(per_class=2).measure(oblong, contexts())
    assert "[sides=4x6-2x3-1x2-1x1-1x1," in found.protocol
    assert ",per_class=2," in found.protocol


def test_real_digits_are_diverse_and_copies_of_one_are_not(real, contexts):
    samples = some(real, 4)
    first = samples.x.reshape(10, 4, 1, 8, 8)[:, :1].expand(-1, 4, -1, -1, -1)
    copies = SampleSet(first.reshape(40, 1, 8, 8), samples.y, samples.spec)
    metric = NativeIntraClassDiversity()
    assert 0.1 < metric.measure(samples, contexts())[0].value < 0.9
    assert metric.measure(copies, contexts())[0].value == pytest.approx(0, abs=1e-9)


def test_one_image_a_class_gives_a_reason_instead_of_a_value(real, contexts):
    (found,) = NativeIntraClassDiversity().measure(some(real, 1), contexts())
    assert (found.value, found.reason) == (None, "one image a class makes no pair")


def test_points_are_not_applicable(moons_samples, contexts):
    with pytest.raises(NotApplicable, match="moons are no images"):
        NativeIntraClassDiversity().measure(moons_samples, contexts())


def test_one_image_makes_no_pair():
    with pytest.raises(ValueError, match="per_class must be at least 2, got 1"):
        NativeIntraClassDiversity(per_class=1)
