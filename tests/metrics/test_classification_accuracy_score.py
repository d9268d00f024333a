"""A classifier learns from samples; none is trained for more than a moment."""

from dataclasses import replace

import pytest
import torch

from bench.data.base import DataSet, DataSpec, Split, to_float
from bench.metrics.base import Context, SampleSet
from bench.metrics.classification_accuracy_score import ClassificationAccuracyScore
from bench.metrics.extractors import small_classifier
from bench.metrics.images_by_class import real_images
from tests.metrics.bars import CPU, draw_bars, shuffled


def bars(per_class, seed, levels=(40, 120, 200)):
    return draw_bars(per_class, torch.Generator().manual_seed(seed), levels=levels, noise=30)


@pytest.fixture
def data():
    spec, test = DataSpec("bars", (1, 8, 8), ("a", "b", "c")), bars(20, 1)
    return DataSet(spec, bars(30, 0), test, test, False, "0" * 64)


@pytest.fixture
def context(data, tmp_path):
    return Context(data, CPU, tmp_path)


@pytest.fixture
def sixty_steps(short_training):
    short_training(60)


@pytest.fixture
def learned(monkeypatch):
    """Record what classifiers are trained on, without training them."""
    seen = []

    def train(spec, split, *, seed, flip, device, steps):
        seen.append((split, seed, flip))
        with torch.random.fork_rng(devices=[]):
            return small_classifier.SmallClassifier(spec).eval()

    where = "bench.metrics.classification_accuracy_score.train_classifier"
    monkeypatch.setattr(where, train)
    return seen


def samples_of(data, split):
    return SampleSet(split.x, split.y, data.spec)


def score(samples, context, **options):
    (found,) = ClassificationAccuracyScore(**options).measure(samples, context)
    return found.value


def contents(split):
    return {image.numpy().tobytes(): y for image, y in zip(split.x, split.y.tolist(), strict=True)}


def test_samples_like_real_images_teach_what_those_teach(data, context, sixty_steps):
    assert score(samples_of(data, bars(20, 2)), context) > 95
    assert score(samples_of(data, data.test), context) > 95


@pytest.mark.parametrize(("levels", "most"), [((120, 200, 40), 5), ((120, 120, 120), 70)])
def test_samples_that_do_not_tell_the_classes_apart_teach_chance(
    data, context, sixty_steps, levels, most
):
    """And samples of other classes teach nothing."""
    assert score(samples_of(data, bars(20, 2, levels)), context) < most


def test_samples_teach_with_their_own_labels(data, context, learned):
    score(shuffled(samples_of(data, bars(20, 2))), context)
    ((split, seed, flip),) = learned
    assert seed == 0
    assert flip is False
    kinds = split.x.double().mean(dim=(1, 2, 3)).sub(40).div(80).round().long()
    assert torch.equal(kinds, split.y)
    assert len(split) == 60


def test_real_test_images_are_replaced_by_as_many_training_images(data, context, learned):
    few = SampleSet(data.test.x[::4], data.test.y[::4], data.spec)
    score(few, context)
    ((split, _, _),) = learned
    assert len(split) == 15
    assert set(contents(split)) <= set(contents(data.train))
    assert torch.bincount(split.y).tolist() == [5, 5, 5]


def test_test_images_with_wrong_labels_are_replaced_with_those_labels(data, context, learned):
    wrong = SampleSet(data.test.x, (data.test.y + 1) % 3, data.spec)
    score(wrong, context)
    ((split, _, _),) = learned
    truth = contents(data.train)
    assert {image: (truth[image] + 1) % 3 for image in contents(split)} == contents(split)
    assert len(contents(split)) == 60


def test_real_images_and_samples_of_equal_number_share_a_protocol(data, context, learned):
    metric = ClassificationAccuracyScore()
    (made,) = metric.measure(samples_of(data, bars(20, 2)), context)
    (real,) = metric.measure(samples_of(data, data.test), context)
    train = real_images(context, "train", range(3), equal=True).first(20).name
    assert made.protocol == real.protocol
    assert made.protocol.startswith("cas[n=60,test=60@")
    assert made.protocol.endswith(f",steps=200,recipe=2,seed=0,real=train:60@{train}]")


def test_the_protocol_names_what_changes_the_number(data, context, learned):
    made = samples_of(data, bars(20, 2))
    ids = {
        ClassificationAccuracyScore(**options).measure(made, context)[0].protocol
        for options in ({}, {"seed": 1}, {"per_class": 10}, {"steps": 100})
    }
    fewer = SampleSet(made.x[::2], made.y[::2], data.spec)
    ids.add(ClassificationAccuracyScore().measure(fewer, context)[0].protocol)
    other = replace(data, test=bars(20, 7))
    elsewhere = Context(other, CPU, context.cache)
    ids.add(ClassificationAccuracyScore().measure(made, elsewhere)[0].protocol)
    assert len(ids) == 5, "10 of 20 are as many as 10"


def test_at_most_per_class_are_taken(data, context, learned):
    score(samples_of(data, bars(20, 2)), context, per_class=4)
    assert torch.bincount(learned[0][0].y).tolist() == [4, 4, 4]


def test_it_can_learn_while_the_caller_infers(data, context, short_training):
    short_training(2)
    with torch.inference_mode():
        score(samples_of(data, bars(20, 2)), context)


def test_a_class_without_training_images_is_a_reason_for_real_images_alone(data, tmp_path, learned):
    train = Split(data.train.x[:60], data.train.y[:60])
    context = Context(replace(data, train=train), CPU, tmp_path)
    (found,) = ClassificationAccuracyScore().measure(samples_of(data, data.test), context)
    assert (found.value, found.reason) == (None, "a class has no training images")
    assert score(samples_of(data, bars(20, 2)), context) is not None


def test_copies_of_a_digit_teach_less_than_digits(real, digits, tmp_path, sixty_steps):
    context = Context(digits, CPU, tmp_path)
    first = torch.stack([(real.y == k).nonzero()[0, 0] for k in range(10)])
    copies = real.x[first].repeat_interleave(50, dim=0)
    labels = torch.arange(10).repeat_interleave(50)
    learned_from_real = score(real, context)
    assert learned_from_real > 85
    assert score(SampleSet(copies, labels, real.spec), context) < learned_from_real - 20


def test_the_classifier_is_in_evaluation_mode(data, short_training):
    short_training(5)
    train = small_classifier.train_classifier
    network = train(data.spec, bars(4, 0), seed=0, flip=False, device=CPU)
    assert not network.training
    x = to_float(data.test.x)
    torch.testing.assert_close(network(x)[:3], network(x[:3]))
