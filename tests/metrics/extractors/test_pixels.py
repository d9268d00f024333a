"""Pixels as features: which copies of training images are found by them, and which by a network."""

import pytest
import torch
import torch.nn.functional as F

from bench import registry
from bench.metrics.base import SampleSet
from bench.metrics.extractors.extractor_option import choose_feature_extractor, known_width
from bench.metrics.features.memorization import Memorization
from bench.metrics.images_by_class import sampled

BLUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).view(1, 1, 3, 3) / 16


@pytest.fixture(scope="module")
def copies(digits):
    return registry.load("control", "training_images")().samples(digits, 50)


def share(samples, context, **options):
    return Memorization(**options).measure(samples, context)[0].value


def changed(copies, change):
    x = change(copies.x.float()).round().clamp(0, 255).byte()
    return SampleSet(x, copies.y, copies.spec)


def half_blurred(x):
    return (x + F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), BLUR)) / 2


def test_pixels_find_blurred_and_noisy_copies_that_the_classifier_does_not(copies, context):
    noise = 16 * torch.randn(copies.x.shape, generator=torch.Generator().manual_seed(0))
    noisy = changed(copies, lambda x: x + noise)
    blurred = changed(copies, half_blurred)
    assert share(copies, context, extractor="pixels") == 100
    assert share(noisy, context, extractor="pixels") > 95
    assert share(noisy, context) < 50
    assert share(blurred, context, extractor="pixels") > 40
    assert share(blurred, context) < 5


def test_the_distance_is_that_of_pixels(digits, copies, context):
    dim = changed(copies, lambda x: 0.8 * x)
    near = Memorization(extractor="pixels").neighbors(dim, context)
    x = sampled(dim).some(10_000)
    x, train = (images.flatten(1).double() / 255 for images in (x.x[x.indices], digits.train.x))
    assert torch.allclose(near.nearest[0], torch.cdist(x, train).amin(1), atol=1e-5)


def test_the_number_of_features_is_known_beforehand(digits, context):
    assert known_width("pixels", digits.spec) == 64
    assert choose_feature_extractor(context, "pixels", 0).width == 64
