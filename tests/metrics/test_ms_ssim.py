import time

import pytest
import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim

from bench.metrics import ms_ssim as module
from bench.metrics.ms_ssim import all_pairs_ms_ssim


def enlarge(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False).clamp(0, 1)


def enlarged(n, channels, *, side=32, size=192, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return enlarge(torch.rand(n, channels, side, side, generator=generator), size)


def reference(images):
    i, j = torch.triu_indices(len(images), len(images), 1)
    with torch.inference_mode():
        parts = [
            ms_ssim(images[a], images[b], data_range=1, win_size=11, size_average=False)
            for a, b in zip(i.split(4), j.split(4), strict=True)
        ]
    return torch.cat(parts)


CASES = {
    "gray": lambda: enlarged(6, 1),
    "color": lambda: enlarged(5, 3),
    "noise": lambda: enlarged(4, 1, side=192),
    "odd sides": lambda: enlarged(4, 3, side=16, size=(177, 191)),
    "smallest": lambda: enlarged(4, 1, side=16, size=161),
    "nearly flat": lambda: (0.9 + 0.05 * enlarged(4, 1, side=8)).clamp(0, 1),
    "half black": lambda: enlarged(6, 1, side=8).sub(0.5).clamp(0, 1),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def images(request):
    return request.param()


def test_float64_equals_pytorch_msssim(images):
    found, expected = all_pairs_ms_ssim(images.double()), reference(images.double())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_float32_is_within_a_millionth_of_the_exact_value(images):
    found, expected = all_pairs_ms_ssim(images).double(), reference(images.double())
    assert (found - expected).abs().max() < 1e-6


@pytest.mark.parametrize("case", ["gray", "color", "noise", "odd sides", "smallest"])
def test_the_mean_equals_that_of_pytorch_msssim_in_float32(case):
    images = CASES[case]()
    found, expected = all_pairs_ms_ssim(images).double(), reference(images).double()
    assert abs(found.mean() - expected.mean()) < 1e-6
    assert (found - expected).abs().max() < 3e-6  # its own rounding, see the test above


def test_pairs_come_in_the_order_of_triu_indices():
    images = enlarged(4, 1)
    pairs = all_pairs_ms_ssim(images)
    alone = [all_pairs_ms_ssim(images[pair]) for pair in torch.triu_indices(4, 4, 1).T]
    torch.testing.assert_close(pairs, torch.cat(alone), rtol=0, atol=1e-6)


def test_the_size_of_a_chunk_changes_nothing(monkeypatch):
    images, found = enlarged(9, 3), []
    for power in (1, 20, 30):
        monkeypatch.setattr(module, "CHUNK_BYTES", {"cpu": 2**power})
        found.append(all_pairs_ms_ssim(images))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=1e-6)


def test_identical_images_give_one():
    same = enlarged(1, 3).expand(3, -1, -1, -1)
    torch.testing.assert_close(all_pairs_ms_ssim(same), torch.ones(3), rtol=0, atol=1e-6)


def test_flat_images_differ_by_their_luminance_alone():
    images = torch.stack([torch.full((1, 192, 192), value) for value in (0.2, 0.6)])
    luminance = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    # The window of pytorch_msssim, rounded to float32, leaves flat images a trace of structure.
    assert all_pairs_ms_ssim(images).item() == pytest.approx(luminance**0.1333, abs=2e-5)


def test_negatives_give_zero():
    image = enlarged(1, 1, side=192)
    assert all_pairs_ms_ssim(torch.cat([image, 1 - image])).item() == 0


def test_a_lower_precision_of_products_is_neither_used_nor_lost():
    images = enlarged(3, 1)
    expected = all_pairs_ms_ssim(images)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(all_pairs_ms_ssim(images), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 160, 192), "at least 161 pixels"),
        (torch.zeros(2, 1, 192, 192, dtype=torch.uint8), r"of torch.float32 or torch.float64, got"),
        (torch.zeros(2, 192, 192), r"needs at least 2 images \[N, C, H, W\] of torch.float32"),
        (torch.zeros(1, 1, 192, 192), r"needs at least 2 images .*got torch.float32 \[1, 1, 192"),
        (torch.full((2, 1, 192, 192), 255.0), "must lie in \\[0, 1\\], got values from 255 to 255"),
        (torch.full((2, 1, 192, 192), float("nan")), "must lie in"),
    ],
    ids=["small", "bytes", "no channels", "single", "range", "nan"],
)
def test_unfit_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        all_pairs_ms_ssim(images)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "n"), [(1, 32), (3, 24)], ids=["gray", "color"])
def test_at_least_seven_times_as_fast_as_pytorch_msssim(channels, n):
    images = enlarged(n, channels)

    def seconds(function, subset):
        began = time.perf_counter()
        function(subset)
        return time.perf_counter() - began

    all_pairs_ms_ssim(images[:3]), reference(images[:3])
    ours = min(seconds(all_pairs_ms_ssim, images) for _ in range(3))
    theirs = min(seconds(reference, images) for _ in range(2))
    pairs = n * (n - 1) // 2
    print(f"{1e3 * theirs / pairs:.2f} and {1e3 * ours / pairs:.2f} ms a pair: {theirs / ours:.1f}")
    assert theirs / ours >= 7
