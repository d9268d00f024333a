"""Controls have the values that theory says, on real digits and by the metrics of models."""

import hashlib
import math
from dataclasses import replace

import pytest
import torch

from bench import registry
from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics.class_accuracy import ClassAccuracy
from bench.metrics.features.fid import FrechetDistance
from bench.metrics.features.memorization import Memorization
from bench.metrics.features.precision_recall import PrecisionRecall
from bench.metrics.inception_score import InceptionScore
from bench.metrics.intra_class_diversity import IntraClassDiversity
from bench.metrics.point_fit import ArcFit

NAMES = list(registry.BUILT_IN["control"])
PER_CLASS = 50
CHANCE = 10.0
SPREAD = 100 * math.sqrt(0.1 * 0.9 / (10 * PER_CLASS))  # of the accuracy of 500 guesses, in percent


def make(name, data, per_class=PER_CLASS):
    return registry.load("control", name)().samples(data, per_class)


@pytest.fixture(scope="module")
def sets(digits):
    return {name: make(name, digits) for name in NAMES}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("real", "60555212802b"),
        ("training_images", "79353e3d5ee2"),
        ("class_means", "7e39e57e2245"),
        ("shuffled_labels", "e255d483cad6"),
        ("noise", "c493ca3c9b56"),
    ],
)
def test_controls_are_those_that_were_measured_before(digits, name, digest):
    """Their values stand in records, under ids that say nothing of random streams."""
    samples = make(name, digits, per_class=5)
    assert hashlib.sha256(samples.x.numpy().tobytes()).hexdigest()[:12] == digest


def value(metric, samples, context):
    return metric.measure(samples, context)[0].value


@pytest.mark.parametrize("name", NAMES)
def test_every_control_is_ordered_and_as_large_as_the_real_one(digits, sets, name):
    for per_class in (3, PER_CLASS, 999):
        size = min(per_class, 50)
        found = sets[name] if per_class == PER_CLASS else make(name, digits, per_class)
        assert found.y.tolist() == [label for label in range(10) for _ in range(size)]
        assert (found.x.dtype, found.x.shape[1:]) == (torch.uint8, (1, 8, 8))


@pytest.mark.parametrize("name", NAMES)
def test_a_control_is_the_same_every_time_and_leaves_the_random_state_alone(digits, sets, name):
    before = torch.get_rng_state()
    assert torch.equal(make(name, digits).x, sets[name].x)
    assert torch.equal(torch.get_rng_state(), before)


def test_copies_of_training_images_are_told_as_memorized(digits, sets, context):
    copies = sets["training_images"]
    train, found = (
        list(zip(map(bytes, images.x.numpy()), images.y.tolist(), strict=True))
        for images in (digits.train, copies)
    )
    assert set(found) <= set(train)
    assert len(set(found)) == len(found)
    assert value(Memorization(), copies, context) == 100
    assert abs(value(Memorization(), sets["real"], context)) < 20
    assert value(ClassAccuracy(), copies, context) > 99
    assert value(FrechetDistance(), copies, context) < 2


def test_class_means_are_right_and_never_differ(digits, sets, context):
    means = sets["class_means"]
    train = digits.train
    expected = train.x[train.y == 3].double().mean(0).round()
    assert torch.equal(means.x[means.y == 3][7].double(), expected)
    assert value(IntraClassDiversity(per_class=4), means, context) == pytest.approx(0, abs=1e-6)
    assert value(ClassAccuracy(), means, context) == 100
    assert value(InceptionScore(), means, context) > 9
    assert PrecisionRecall().measure(means, context)[1].value < 0.05


def test_shuffled_labels_change_nothing_but_what_looks_at_labels(sets, context):
    real, shuffled = sets["real"], sets["shuffled_labels"]
    assert sorted(map(bytes, real.x.numpy())) == sorted(map(bytes, shuffled.x.numpy()))
    for metric in (FrechetDistance(), InceptionScore(), PrecisionRecall()):
        found = value(metric, shuffled, context)
        assert found == pytest.approx(value(metric, real, context), rel=1e-6)
    assert abs(value(ClassAccuracy(), shuffled, context) - CHANCE) < 3 * SPREAD
    diversity = IntraClassDiversity(per_class=12)
    assert value(diversity, shuffled, context) > value(diversity, real, context) + 0.1
    within = FrechetDistance(per_class=True, extractor_seed=0)
    assert within.measure(shuffled, context)[0].value is not None


def test_noise_is_far_from_everything(sets, context):
    noise, real = sets["noise"], sets["real"]
    assert noise.x.double().mean() == pytest.approx(127.5, abs=2)
    assert abs(value(ClassAccuracy(), noise, context) - CHANCE) < 4 * SPREAD
    far, near = (value(FrechetDistance(), samples, context) for samples in (noise, real))
    assert far > 20 * near
    precision, recall = (found.value for found in PrecisionRecall().measure(noise, context))
    assert precision < 0.05
    assert recall < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_points_have_controls_too(moons, name):
    found = make(name, moons, 100)
    assert (found.x.dtype, found.x.shape) == (torch.float32, (300, 2))
    low, high = moons.train.x.amin(0), moons.train.x.amax(0)
    if name in ("class_means", "noise"):
        assert bool((found.x >= low).all() and (found.x <= high).all())


def test_points_have_the_values_that_theory_says(moons, contexts):
    context = contexts(moons)
    measured = {name: ArcFit().measure(make(name, moons, 100), context) for name in NAMES}
    assert measured["class_means"][0].value == pytest.approx(0, abs=1e-6)
    assert measured["real"][0].value == pytest.approx(1, abs=0.2)
    distance = {name: found[2].value for name, found in measured.items()}
    real = (distance.pop("real"), distance.pop("training_images"))
    assert max(real) < 0.2 < min(distance.values())


def test_a_class_without_training_examples_has_neither_mean_nor_copies(digits):
    kept = digits.train.y != 4
    train = Split(digits.train.x[kept], digits.train.y[kept])
    data = replace(digits, train=train)
    with pytest.raises(NotApplicable, match="class '4' has no training examples"):
        make("class_means", data)
    with pytest.raises(NotApplicable, match="class '4' has no training examples"):
        make("training_images", data)
