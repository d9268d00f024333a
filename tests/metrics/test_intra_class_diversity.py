"""Both diversities within a class: means over the classes, the order of content, protocols."""

from dataclasses import replace

import pytest
import torch

from bench.metrics.base import SampleSet
from bench.metrics.images_by_class import sampled
from bench.metrics.intra_class_diversity import (
    AttributeDiversity,
    IntraClassDiversity,
    NativeIntraClassDiversity,
)
from tests.metrics.bars import context_of, first_of_each, samples_of
from tests.metrics.test_ms_ssim import enlarge, reference
from tests.metrics.test_ms_ssim_native import literal

both = pytest.mark.parametrize("metric", [IntraClassDiversity, NativeIntraClassDiversity])


def test_diversity_is_the_mean_over_classes_of_one_minus_the_reference(real, context):
    samples = first_of_each(real, 3)
    (found,) = IntraClassDiversity().measure(samples, context)
    values = []
    for label in range(10):
        images = enlarge(samples.x[samples.y == label].double() / 255, 192)
        values.append(1 - reference(images).mean().item())
    assert found.value == pytest.approx(sum(values) / 10, abs=1e-6)
    assert found.protocol == (
        "1-ms_ssim[size=192,resize=bilinear,window=11,scales=5,per_class=3,pairs=all]"
    )


def test_native_diversity_is_the_mean_over_classes_of_one_minus_the_literal_value(real, context):
    samples = first_of_each(real, 3)
    (found,) = NativeIntraClassDiversity().measure(samples, context)
    values = []
    for label in range(10):
        x = samples.x[samples.y == label].numpy() / 255
        values += [1 - literal(x[i], x[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.value == pytest.approx(sum(values) / 30, rel=1e-9)
    assert found.metric == "intra_class_diversity_native"
    assert found.protocol == (
        "1-ms_ssim_native[sides=8-4-2-1-1,window=min(11;side),sigma=1.5*window/11,range=1,"
        "per_class=3,pairs=all]"
    )


@both
def test_real_digits_are_diverse_and_copies_of_one_are_not(metric, real, context):
    samples = first_of_each(real, 4)
    first = samples.x.reshape(10, 4, 1, 8, 8)[:, :1].expand(-1, 4, -1, -1, -1)
    copies = SampleSet(first.reshape(40, 1, 8, 8), samples.y, samples.spec)
    assert 0.2 < metric().measure(samples, context)[0].value < 0.6
    assert metric().measure(copies, context)[0].value == pytest.approx(0, abs=1e-6)


@both
def test_which_images_of_more_are_compared_follows_from_their_content(metric, real, context):
    few = first_of_each(real, 5)
    chosen = sampled(few).first(2).indices
    (expected,) = metric(per_class=2).measure(
        SampleSet(few.x[chosen], few.y[chosen], few.spec), context
    )
    for order in (torch.arange(50), torch.arange(50).flip(0)):
        mixed = SampleSet(few.x[order], few.y[order], few.spec)
        (found,) = metric(per_class=2).measure(mixed, context)
        assert found.protocol == expected.protocol
        assert found.value == pytest.approx(expected.value, abs=1e-6)


def test_large_images_are_shrunk_with_antialiasing(real, context):
    samples = first_of_each(real, 2)
    spec = replace(real.spec, shape=(1, 200, 200))
    large = SampleSet(samples.x.repeat(1, 1, 25, 25), samples.y, spec)
    (found,) = IntraClassDiversity(size=176).measure(large, context)
    assert "size=176,resize=bilinear-antialias" in found.protocol
    assert 0 < found.value < 1


def test_the_protocol_tells_the_sides_of_oblong_images(real, context):
    oblong = SampleSet(real.x[:, :, :4, :6], real.y, replace(real.spec, shape=(1, 4, 6)))
    (found,) = NativeIntraClassDiversity(per_class=2).measure(oblong, context)
    assert "[sides=4x6-2x3-1x2-1x1-1x1," in found.protocol
    assert ",per_class=2," in found.protocol


def test_other_attributes_are_free(bars, tmp_path):
    """Classes b and c are lit, and c is bright: pairs of b and c count for the first alone."""
    samples = samples_of(bars)
    mean, lit, bright = AttributeDiversity(per_class=4).measure(samples, context_of(bars, tmp_path))
    order = sampled(samples).indices.view(-1, 3)  # of a, b and c by content
    for found, chosen in ((lit, order[:2, 1:]), (bright, order[:4, 2:])):
        images = enlarge(samples.x[chosen.flatten()].double() / 255, 192)
        assert found.value == pytest.approx(1 - reference(images).mean().item(), abs=1e-6)
        assert found.error > 0
    assert mean.value == pytest.approx((lit.value + bright.value) / 2)
    how = "size=192,resize=bilinear,window=11,scales=5"
    assert lit.protocol == f"1-ms_ssim[{how},of=lit,images=4,pairs=all]"
    assert mean.protocol == f"1-ms_ssim[{how},images=4,pairs=all]"
