"""On a GPU metrics make no tensor on the wrong device: they are played on fake CUDA tensors."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.conformance.fake_cuda import _follow
from bench.metrics.extractors.vision_transformers import resized_as_pillow
from bench.metrics.features.cmmd import clip_distance
from bench.metrics.features.density_coverage import DensityCoverage
from bench.metrics.features.distances import nearest_points
from bench.metrics.features.fid import Moments, moments, symmetric_frechet_distance
from bench.metrics.features.kid import unbiased_mmd
from bench.metrics.features.precision_recall import PrecisionRecall
from bench.metrics.inception_score import inception_score
from bench.metrics.jackknife import mean_error
from bench.metrics.ms_ssim import all_pairs_ms_ssim
from bench.metrics.ms_ssim_native import all_pairs_native_ms_ssim
from bench.metrics.reconstruction import mean_ssim, psnr, squared_errors
from bench.metrics.within_class_variance import _error as variance_error
from bench.metrics.within_class_variance import _squares, _variance

OF_FEATURES = {
    "moments": lambda x, y: moments(x),
    "fid": lambda x, y: symmetric_frechet_distance(
        *(Moments(np.zeros(4), np.eye(4)) for _ in range(2)), x.device
    ),
    "kid": lambda x, y: unbiased_mmd(x[:20].double(), y[:20].double()),
    "cmmd": clip_distance,
    "memorization": nearest_points,
    "precision_recall": lambda x, y: PrecisionRecall.values(x.double(), y.double(), 3),
    "density_coverage": lambda x, y: DensityCoverage.values(x.double(), y.double(), 3),
    "error of the density": lambda x, y: mean_error([x[:, 0], y[:, 0]]),
    "inception_score": lambda x, y: inception_score(x, splits=2),
}
OF_IMAGES = {
    "variance": lambda x, y: _variance([_squares(x)]),
    "error of the variance": lambda x, y: variance_error([_squares(x), _squares(y)]),
    "squared errors": lambda x, y: psnr(squared_errors(x, y[: len(x)])),
    "ssim": lambda x, y: mean_ssim(x, y[: len(x)], 7, 1.0),
    "ms_ssim": lambda x, y: all_pairs_ms_ssim(x[:2].float().repeat(1, 1, 22, 22) / 255),
    "native ms_ssim": lambda x, y: all_pairs_native_ms_ssim(x[:2].double() / 255),
    "resize": lambda x, y: resized_as_pillow(x, 20),
}


def arguments(kind, device):
    """Return features `[30, 4]` and `[40, 4]`, or images; without values on a fake GPU."""
    generator = torch.Generator().manual_seed(0)
    sides = [torch.rand(n, 4, generator=generator) for n in (30, 40)]
    if kind == "images":
        sides = [(255 * x).to(torch.uint8)[:, :, None, None].repeat(1, 1, 8, 8) for x in sides]
    return [torch.empty(x.shape, dtype=x.dtype, device=device) if device else x for x in sides]


def assert_stays_on_the_gpu(function, kind):
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        fake = arguments(kind, "cuda")
    on_cpu = arguments(kind, None)
    assert _follow("metric", mode, lambda: function(*fake), lambda: function(*on_cpu)) == []


@pytest.mark.parametrize("name", OF_FEATURES)
def test_features_stay_on_the_gpu(name):
    assert_stays_on_the_gpu(OF_FEATURES[name], "features")


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_stay_on_the_gpu(name):
    assert_stays_on_the_gpu(OF_IMAGES[name], "images")
