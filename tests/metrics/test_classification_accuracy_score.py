"""A classifier learns from samples; none is trained for more than a moment."""

import pytest
import torch

from bench.data.base import DataSet, DataSpec, Split, to_float
from bench.errors import NotApplicable
from bench.metrics.base import Context, SampleSet
from bench.metrics.classification_accuracy_score import ClassificationAccuracyScore
from bench.metrics.comparison import real_side
from bench.metrics.extractors import classifier

CPU = torch.device("cpu")


def bars(per_class, seed, brightness=(40, 120, 200)):
    """Make noise around the level of the class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(3).repeat_interleave(per_class)
    noise = torch.randint(-30, 30, (len(y), 1, 8, 8), generator=generator)
    x = torch.tensor(brightness)[y][:, None, None, None] + noise
    return Split(x.to(torch.uint8), y)


@pytest.fixture
def data():
    spec, test = DataSpec("bars", (1, 8, 8), ("a", "b", "c")), bars(20, 1)
    return DataSet(spec, bars(30, 0), test, test, False, "")


@pytest.fixture
def context(data, tmp_path):
    return Context(data, CPU, tmp_path)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 60)
    monkeypatch.setattr(classifier, "EPOCHS", 0)


@pytest.fixture
def learned(monkeypatch):
    """Record what classifiers are trained on, without training them."""
    seen = []

    def train(spec, split, *, seed, flip, device, steps):
        seen.append((split, seed, flip))
        with torch.random.fork_rng(devices=[]):
            return classifier.DomainClassifier(spec).eval()

    where = "bench.metrics.classification_accuracy_score.train_classifier"
    monkeypatch.setattr(where, train)
    return seen


def samples_of(data, split):
    return SampleSet(split.x, split.y, data.spec)


def score(samples, context, **options):
    (found,) = ClassificationAccuracyScore(**options).measure(samples, context)
    return found.value


def test_samples_like_real_images_teach_what_those_teach(data, context, quick):
    assert score(samples_of(data, bars(20, 2)), context) > 95
    assert score(samples_of(data, data.test), context) > 95


def test_samples_of_other_classes_teach_nothing(data, context, quick):
    wrong = SampleSet(*vars(bars(20, 2, brightness=(120, 200, 40))).values(), data.spec)
    assert score(wrong, context) < 5


def test_samples_that_do_not_tell_the_classes_apart_teach_chance(data, context, quick):
    gray = bars(20, 2, brightness=(120, 120, 120))
    assert score(samples_of(data, gray), context) < 70


def test_samples_teach_with_their_own_labels(data, context, learned):
    made = bars(20, 2)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    score(SampleSet(made.x[order], made.y[order], data.spec), context)
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
    train = {row.numpy().tobytes() for row in data.train.x}
    assert len(split) == 15
    assert all(row.numpy().tobytes() in train for row in split.x)
    assert torch.bincount(split.y).tolist() == [5, 5, 5]


def test_test_images_with_wrong_labels_are_replaced_with_those_labels(data, context, learned):
    wrong = SampleSet(data.test.x, (data.test.y + 1) % 3, data.spec)
    score(wrong, context)
    ((split, _, _),) = learned
    train = {
        row.numpy().tobytes(): y for row, y in zip(data.train.x, data.train.y.tolist(), strict=True)
    }
    truth = torch.tensor([train[row.numpy().tobytes()] for row in split.x])
    assert torch.equal(split.y, (truth + 1) % 3)
    assert len({row.numpy().tobytes() for row in split.x}) == 60


def test_real_images_and_samples_of_equal_number_share_a_protocol(data, context, learned):
    metric = ClassificationAccuracyScore()
    (made,) = metric.measure(samples_of(data, bars(20, 2)), context)
    (real,) = metric.measure(samples_of(data, data.test), context)
    train = real_side(context, "train").first(20).name
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
    other = DataSet(data.spec, data.train, data.validation, bars(20, 7), False, "")
    elsewhere = Context(other, CPU, context.cache)
    ids.add(ClassificationAccuracyScore().measure(made, elsewhere)[0].protocol)
    assert len(ids) == 5, "10 of 20 are as many as 10"


def test_at_most_per_class_are_taken(data, context, learned):
    score(samples_of(data, bars(20, 2)), context, per_class=4)
    assert torch.bincount(learned[0][0].y).tolist() == [4, 4, 4]


def test_the_order_of_the_samples_changes_no_bit(data, context, quick):
    made, order = bars(20, 2), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    mixed = SampleSet(made.x[order], made.y[order], data.spec)
    assert score(mixed, context) == score(samples_of(data, made), context)


def test_the_random_state_is_left_alone(data, context, quick):
    before = torch.get_rng_state()
    score(samples_of(data, bars(20, 2)), context)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_can_learn_while_the_caller_infers(data, context, quick):
    with torch.inference_mode():
        score(samples_of(data, bars(20, 2)), context)


def test_a_class_without_training_images_is_a_reason_for_real_images_alone(data, tmp_path, learned):
    train = Split(data.train.x[:60], data.train.y[:60])
    context = Context(DataSet(data.spec, train, *[data.test] * 2, False, ""), CPU, tmp_path)
    (found,) = ClassificationAccuracyScore().measure(samples_of(data, data.test), context)
    assert (found.value, found.reason) == (None, "a class has no training images")
    assert score(samples_of(data, bars(20, 2)), context) is not None


def test_points_are_not_applicable(contexts, moons, moons_samples):
    with pytest.raises(NotApplicable, match="moons are no images"):
        ClassificationAccuracyScore().measure(moons_samples, contexts(moons))


def test_at_least_one_image_a_class():
    with pytest.raises(ValueError, match="per_class must be at least 1, got 0"):
        ClassificationAccuracyScore(per_class=0)


def test_copies_of_a_digit_teach_less_than_digits(real, context_of_digits, quick):
    first = torch.stack([(real.y == k).nonzero()[0, 0] for k in range(10)])
    copies = real.x[first].repeat_interleave(50, dim=0)
    labels = torch.arange(10).repeat_interleave(50)
    learned_from_real = score(real, context_of_digits)
    assert learned_from_real > 85
    assert score(SampleSet(copies, labels, real.spec), context_of_digits) < learned_from_real - 20


@pytest.fixture
def context_of_digits(digits, tmp_path):
    return Context(digits, CPU, tmp_path)


def test_the_classifier_is_in_evaluation_mode(data, quick):
    network = classifier.train_classifier(data.spec, bars(4, 0), seed=0, flip=False, device=CPU)
    assert not network.training
    x = to_float(data.test.x)
    torch.testing.assert_close(network(x)[:3], network(x[:3]))
