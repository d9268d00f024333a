"""Memorization: copies, new images, and the reference library's statistic."""

import pytest
import scipy.stats
import torch

from bench.data.base import Split
from bench.metrics.base import SampleSet
from bench.metrics.features.distances import nearest_points
from bench.metrics.features.memorization import Memorization, mann_whitney_z
from tests.metrics.bars import context_of, fields, make_data

BIG = 200  # images of each class


@pytest.fixture(scope="module")
def data():
    return make_data(per_class=BIG)


@pytest.fixture
def context(data, tmp_path):
    return context_of(data, tmp_path)


def values(x, data, context, **options):
    samples = SampleSet(x, data.test.y, data.spec)
    return [found.value for found in Memorization(**options).measure(samples, context)]


def test_copies_are_memorized_and_noise_is_not(data, context):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(256, data.test.x.shape, generator=generator, dtype=torch.uint8)
    copied, shift = values(data.train.x, data, context)
    assert copied == 100
    assert shift == pytest.approx(-(3**0.5) * 600 / 1201**0.5)  # all pairs: U = 0
    assert values(noise, data, context)[0] == 0
    assert values(noise, data, context)[1] > 20


@pytest.mark.parametrize("quantile", [0.01, 0.05, 0.5])
def test_test_images_have_the_share_that_is_expected_of_new_images(data, context, quantile):
    share, shift = values(data.test.x, data, context, quantile=quantile)
    assert share == pytest.approx(100 * quantile)
    assert shift == 0
    further = make_data(per_class=BIG, seed=7).test.x
    share, shift = values(further, data, context, quantile=quantile)
    assert abs(share / 100 - quantile) < 4 * (2 * quantile * (1 - quantile) / 600) ** 0.5
    assert abs(shift) < 3


def test_a_part_of_copies_is_found_whatever_their_labels(data, context):
    x = make_data(per_class=BIG, seed=7).test.x
    x[::4] = data.train.x[::4].roll(100, dims=0)
    share, shift = values(x, data, context)
    assert 25 <= share < 25 + 0.75 * 10
    assert shift < -3


def test_copies_across_the_splits_are_part_of_what_is_expected(data, tmp_path):
    x = data.test.x.clone()
    x[:60] = data.train.x[:60]  # a tenth
    leaky = data.__class__(**{**vars(data), "test": Split(x, data.test.y)})
    context = context_of(leaky, tmp_path)
    assert values(x, data, context)[0] == 10  # more than 5 %, all at a distance of 0
    assert values(make_data(per_class=BIG, seed=7).test.x, data, context)[0] < 2


def test_the_statistic_is_that_of_scipy():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randint(9, (n,), generator=generator).double() for n in (40, 70))
    u = scipy.stats.mannwhitneyu(first, second).statistic
    expected = (u - 40 * 70 / 2) / (40 * 70 * 111 / 12) ** 0.5
    assert mann_whitney_z(first, second) == pytest.approx(expected, rel=1e-12)


def test_the_nearest_is_that_of_all_distances(data):
    first, second = fields(data.test.x), fields(data.train.x)
    exact = (first[:, None].double() - second.double()).norm(dim=2)
    found, which = nearest_points(first, second)
    torch.testing.assert_close(found, exact.min(dim=1).values)
    torch.testing.assert_close(exact[torch.arange(len(first)), which], found)
    assert nearest_points(second, second)[0].max() == 0


def test_too_few_test_images_for_a_quantile_are_a_reason(bars, tmp_path):
    samples = SampleSet(bars.test.x, bars.test.y, bars.spec)
    found = Memorization(quantile=0.01).measure(samples, context_of(bars, tmp_path))
    assert {m.reason for m in found} == {"90 test images are too few for a quantile of 0.01"}


def test_the_protocol_names_all_that_changes_the_number(data, context):
    samples = SampleSet(data.test.x, data.test.y, data.spec)
    options = ({}, {"quantile": 0.1}, {"most": 100})
    protocols = {Memorization(**o).measure(samples, context)[0].protocol for o in options}
    assert len(protocols) == 3
    assert "n=600,train=600@" in min(protocols, key=len)
