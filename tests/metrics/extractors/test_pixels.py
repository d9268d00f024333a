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


def test_pixels_find_copies_that_were_changed_and_the_classifier_does_not(copies, context):
    noise = 48 * torch.randn(copies.x.shape, generator=torch.Generator().manual_seed(0))
    for change in (lambda x: x + noise, half_blurred, lambda x: 0.8 * x):
        assert share(changed(copies, change), context) > 90
        assert share(changed(copies, change), context, extractor="domain") < 60
    shifted = changed(copies, lambda x: x.roll(1, dims=3))
    assert share(shifted, context) < 20, "which pixels do not find"


def test_the_distance_is_that_of_pixels(digits, copies, context):
    dim = changed(copies, lambda x: 0.8 * x)
    near = Memorization().neighbors(dim, context)
    x = sampled(dim).some(10_000)
    x = x.x[x.indices].flatten(1).double() / 255
    for (found, _), split in ((near.in_train, digits.train), (near.in_test, digits.test)):
        real = split.x.flatten(1).double() / 255
        assert torch.allclose(found, torch.cdist(x, real).amin(1), atol=1e-5)


def test_the_number_of_features_is_known_beforehand(digits, context):
    assert known_width("pixels", digits.spec) == 64
    assert choose_feature_extractor(context, "pixels", 0).width == 64
