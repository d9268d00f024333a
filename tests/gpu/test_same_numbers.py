"""What does not depend on the device: data, initial weights, and metrics up to rounding."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from pytorch_msssim import ms_ssim

from bench import registry
from bench.data.base import LEVELS, to_float
from bench.data.stream import make_stream
from bench.evaluation.sampling import draw_samples
from bench.metrics.ms_ssim import all_pairs_ms_ssim
from bench.training.trainer import build_model
from tests.small import half_labeled, on_attributes, on_points, small

CPU = torch.device("cpu")
COLOR = {"name": "blobs", "image_size": 32, "channels": 3}
DATA = {
    "gray": small,
    "color": lambda: small().changed(data=COLOR),
    "points": partial(on_points, "cvae"),
    "attributes": partial(on_attributes, "csvae"),
    "half of the labels": partial(half_labeled, "lr_livae"),
    "half of the attributes": partial(on_attributes, "ccvae", labeled_fraction=0.5),
}


@pytest.mark.parametrize("data", DATA)
def test_batches_are_equal(data, device):
    under_test = DATA[data]()
    capabilities = under_test.model().capabilities
    mirrored = replace(under_test.data, flip=under_test.data.spec.is_image)
    here, there = (
        make_stream(under_test.training, mirrored, where, capabilities) for where in (CPU, device)
    )
    for draw in (*range(9), 200, 3):
        expected, found = here.batch(draw), there.batch(draw)
        assert found.x.device.type == found.y.device.type == device.type
        assert torch.equal(found.x.cpu(), expected.x)
        assert torch.equal(found.y.cpu(), expected.y)


def test_every_level_of_a_byte_is_the_same_number(device):
    levels = torch.arange(256, dtype=torch.uint8, device=device)
    assert torch.equal(to_float(levels).cpu(), LEVELS)


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_initial_weights_are_equal(name, device):
    under_test = small(name)
    models = [build_model(under_test.training, under_test.data, where) for where in (CPU, device)]
    expected, found = (model.state_dict() for model in models)
    for key, value in found.items():
        assert value.device.type == device.type
        assert torch.equal(value.cpu(), expected[key]), key


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_the_same_weights_draw_the_same_samples(name, device):
    under_test = small(name).changed(data=COLOR)
    model = build_model(under_test.training, under_test.data, device).eval()
    spec = under_test.data.spec
    first, *others = (draw_samples(model, spec, 100, 0, device).x for _ in range(3))
    assert all(torch.equal(first, again) for again in others)


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "color"])
def test_ms_ssim_is_the_same_to_a_millionth(channels, device):
    images = torch.rand(4, channels, 192, 192, generator=torch.Generator().manual_seed(0))
    found = all_pairs_ms_ssim(images.to(device))
    assert found.device.type == device.type
    i, j = torch.triu_indices(4, 4, 1)
    exact = images.double()
    expected = ms_ssim(exact[i], exact[j], data_range=1, win_size=11, size_average=False)
    torch.testing.assert_close(found.cpu().double(), expected, rtol=0, atol=2e-6)
