"""Memorization: copies, new images, and what is neither."""

from dataclasses import replace

import pytest
import torch

from bench.data.base import Split
from bench.metrics.base import SampleSet
from bench.metrics.features.distances import nearest_points
from bench.metrics.features.memorization import Memorization
from tests.metrics.bars import context_of, fields, make_data

BIG = 200  # images of each class


@pytest.fixture(scope="module")
def data():
    return make_data(per_class=BIG)


@pytest.fixture(scope="module")
def further():
    return make_data(per_class=BIG, seed=7).test.x


@pytest.fixture
def context(data, tmp_path):
    return context_of(data, tmp_path)


def measured(x, data, context, y=None, **options):
    samples = SampleSet(x, data.test.y if y is None else y, data.spec)
    [found] = Memorization(**options).measure(samples, context)
    return found


def pixels(x):
    return x.flatten(1).double() / 255


def test_copies_are_memorized_and_what_is_new_is_not(data, further, context):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(256, data.test.x.shape, generator=generator, dtype=torch.uint8)
    copied = measured(data.train.x, data, context)
    assert (copied.value, copied.error) == (100, 0)
    for new in (noise, further, data.test.x):
        found = measured(new, data, context)
        assert abs(found.value) < 4 * found.error
        assert 0 < found.error < 8


def test_the_value_is_that_of_all_distances(data, further, context):
    x, train, test = map(pixels, (further, data.train.x, data.test.x))
    from_train, from_test = torch.cdist(x, train).amin(1), torch.cdist(x, test).amin(1)
    hits = (from_train < from_test).double() + (from_train == from_test).double() / 2
    found = measured(further, data, context)  # as many training as test images: chance is a half
    assert found.value == pytest.approx(100 * (2 * hits.mean().item() - 1))


def test_test_images_are_compared_with_the_others(data, context):
    test, train = pixels(data.test.x), pixels(data.train.x)
    own = torch.cdist(test, test)
    own.fill_diagonal_(torch.inf)
    hits = (torch.cdist(test, train).amin(1) < own.amin(1)).double()
    chance = BIG / (2 * BIG - 1)
    expected = 100 * (hits.mean().item() - chance) / (1 - chance)
    assert measured(data.test.x, data, context).value == pytest.approx(expected)


def test_copies_among_new_images_count_as_their_share(data, further, context):
    new = measured(further, data, context).value
    x = further.clone()
    x[::4] = data.train.x[::4].roll(100, dims=0)  # whatever their labels
    found = measured(x, data, context)
    assert found.value == pytest.approx(25 + 0.75 * new, abs=4)
    samples = SampleSet(x, torch.zeros(len(x), dtype=torch.int64), data.spec, labeled=False)
    [unlabeled] = Memorization().measure(samples, context)
    assert unlabeled.value == pytest.approx(found.value)


def test_means_of_new_images_are_no_copies_and_dimmed_copies_are(data, context):
    ring = data.test.x.view(3, BIG, *data.test.x.shape[1:]).float()
    means = ((ring + ring.roll(1, 1) + ring.roll(2, 1)) / 3).flatten(0, 1)
    assert measured(means.round().byte(), data, context).value < 0
    assert measured((0.8 * data.train.x.float()).byte(), data, context).value > 50


def test_chance_is_that_of_the_class(data, further, tmp_path):
    few = torch.cat([torch.arange(0, BIG), torch.arange(BIG, BIG + 20), torch.arange(2 * BIG, 600)])
    unequal = replace(data, test=data.test.take(few))
    found = measured(further, unequal, context_of(unequal, tmp_path), data.test.y)
    assert abs(found.value) < 4 * found.error
    rare = SampleSet(further[BIG : BIG + 100], torch.full((100,), 1), data.spec)
    [found] = Memorization().measure(rare, context_of(unequal, tmp_path))
    assert abs(found.value) < 4 * found.error
    assert found.error > 15, "twenty test images show little"


def test_copies_across_the_splits_are_as_likely_in_both(data, tmp_path):
    x = data.test.x.clone()
    x[:60] = data.train.x[:60]  # a tenth
    leaky = replace(data, test=Split(x, data.test.y))
    assert measured(data.train.x, leaky, context_of(leaky, tmp_path)).value == pytest.approx(90)


def split_at_random(pool, labels, train, generator):
    """Return two splits of images that are divided by chance alone."""
    order = torch.randperm(len(pool), generator=generator)
    return [Split(pool[half], labels[half]) for half in (order[:train], order[train:])]


def over_splits(data, tmp_path, make, *, pool, labels, train, times=40):
    """Return mean values and errors of samples that `make` makes of random splits."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(times):
        first, second = split_at_random(pool, labels, train, generator)
        divided = replace(data, train=first, test=second)
        x, y = make(first, second)
        found.append(measured(x, divided, context_of(divided, tmp_path), y))
    values = torch.tensor([one.value for one in found])
    errors = torch.tensor([one.error for one in found])
    return values, errors


def test_the_error_is_the_spread_over_splits_also_of_samples_that_are_alike(data, tmp_path):
    pool, labels = data.train.x, data.train.y
    new = make_data(per_class=BIG, seed=7).test
    means = torch.stack([new.x[new.y == c].float().mean(0) for c in range(3)]).round().byte()
    alike = (means.repeat_interleave(20, 0), torch.arange(3).repeat_interleave(20))
    for samples in (alike, (new.x[::3], new.y[::3])):
        values, errors = over_splits(
            data, tmp_path, lambda *_, s=samples: s, pool=pool, labels=labels, train=400
        )
        spread = values.std() / len(values) ** 0.5
        assert abs(values.mean()) < 4 * spread
        assert values.std() < 2 * errors.square().mean().sqrt()


def test_samples_that_are_all_alike_have_no_error(data, context):
    for image in (data.train.x[:1], data.test.x[:1] + 1):
        alike = image.repeat(len(data.test), 1, 1, 1)
        assert measured(alike, data, context).error is None


def test_test_images_have_nothing_beyond_chance_also_with_twins_and_mixed_classes(data, tmp_path):
    pool = data.train.x[:60]
    for x, labels in (
        (pool.repeat(2, 1, 1, 1), torch.arange(3).repeat(40)),  # each twice
        (pool, torch.arange(60) % 3),  # labels that say nothing
    ):
        values, _ = over_splits(
            data,
            tmp_path,
            lambda _, test: (test.x, test.y),
            pool=x,
            labels=labels,
            train=len(x) // 2,
            times=100,
        )
        assert abs(values.mean()) < 4 * values.std() / 10


def test_the_nearest_is_that_of_all_distances(data):
    first, second = fields(data.test.x), fields(data.train.x)
    exact = (first[:, None].double() - second.double()).norm(dim=2)
    found, which = nearest_points(first, second)
    torch.testing.assert_close(found, exact.min(dim=1).values)
    torch.testing.assert_close(exact[torch.arange(len(first)), which], found)
    assert nearest_points(second, second)[0].max() == 0
    itself = torch.arange(len(second))
    exact = torch.cdist(second.double(), second.double())
    exact.fill_diagonal_(torch.inf)
    found, which = nearest_points(second, second, itself)
    torch.testing.assert_close(found, exact.min(dim=1).values)
    assert (which != itself).all()
    assert nearest_points(first[:1], first[:1], itself[:1])[0].isinf().all()


def test_no_other_test_image_is_a_reason(data, tmp_path):
    one = replace(data, test=data.test.take(torch.tensor([0, BIG, 2 * BIG])))
    found = measured(one.test.x, one, context_of(one, tmp_path))
    assert (found.value, found.reason[:30]) == (None, "no class of the nearest images")


def test_the_protocol_names_all_that_changes_the_number(data, context):
    options = ({}, {"extractor": "domain"}, {"most": 100})
    protocols = {measured(data.test.x, data, context, **o).protocol for o in options}
    assert len(protocols) == 3
    assert "extractor=pixels,n=600,train=600@" in "".join(protocols)
