import logging
import threading

import pytest
import torch

from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.errors import NotApplicable
from bench.metrics.base import Context
from bench.metrics.extractors import domain_classifier as module
from bench.metrics.extractors import small_classifier
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.metrics.extractors.small_classifier import SmallClassifier, fits


@pytest.fixture(autouse=True)
def three_steps(short_training, monkeypatch):
    """Train for three steps, and each time: other tests share classifiers."""
    short_training(3)
    monkeypatch.setattr(module, "train_classifier", small_classifier.train_classifier)


@pytest.fixture
def trainings(monkeypatch):
    """Count them, by seed."""
    train, seen = module.train_classifier, []

    def counting(*args, seed, **options):
        seen.append(seed)
        return train(*args, seed=seed, **options)

    monkeypatch.setattr(module, "train_classifier", counting)
    return seen


def cached(context):
    return sorted((context.cache / "extractors").glob("*.pt"))


def test_the_digits_classifier_knows_real_test_digits(classifier, digits):
    right = classifier.logits(digits.test.x).argmax(dim=1) == digits.test.y
    assert right.double().mean() >= 0.98
    assert classifier.name.startswith("digits-classifier@")
    assert len(classifier.name.partition("@")[2]) == 8
    assert len(digits.test) == 500


def test_logits_do_not_depend_on_the_batch(classifier, digits):
    x = digits.test.x[:41]
    together = classifier.logits(x)
    apart = torch.cat([classifier.logits(part) for part in x.split(7)])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-4)
    assert together.dtype == torch.float32
    assert together.shape == (41, 10)
    assert not together.requires_grad


def test_more_images_than_one_batch(classifier, digits):
    x = digits.test.x
    twice = classifier.logits(torch.cat([x, x]))
    torch.testing.assert_close(twice[:500], twice[500:], rtol=0, atol=1e-4)


def test_a_process_builds_it_once(contexts, trainings):
    context = contexts()
    assert domain_classifier(context) is domain_classifier(context)
    assert trainings == [0]


def test_the_next_process_loads_it(contexts, trainings):
    first, second = domain_classifier(contexts()), domain_classifier(contexts())
    assert trainings == [0]
    assert first.name == second.name
    x = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert torch.equal(first.logits(x), second.logits(x))


def test_training_is_deterministic(tiny, tmp_path):
    device = torch.device("cpu")
    names = [domain_classifier(Context(tiny(), device, tmp_path / d)).name for d in "ab"]
    assert names[0] == names[1]


def test_training_is_the_same_on_any_number_of_threads(tiny, tmp_path):
    names, before = set(), torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            context = Context(tiny(), torch.device("cpu"), tmp_path / str(threads))
            names.add(domain_classifier(context).name)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(names) == 1


@pytest.mark.parametrize(
    ("other", "seed"),
    [({"seed": 1}, 0), ({"flip": True}, 0), ({"channels": 3}, 0), ({}, 1)],
    ids=["data", "flip", "shape", "seed"],
)
def test_other_content_is_another_file(contexts, tiny, trainings, other, seed):
    names = {domain_classifier(contexts()).name}
    context = contexts(tiny(**other))
    names.add(domain_classifier(context, seed).name)
    assert len(trainings) == len(names) == len(cached(context)) == 2


def test_both_seeds_live_side_by_side(contexts):
    context = contexts()
    assert domain_classifier(context, 0).name != domain_classifier(context, 1).name


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def scribble(path):
    path.write_text("no weights")


def alter(path):
    kept = torch.load(path, weights_only=True)
    kept["weights"]["head.bias"] += 1
    torch.save(kept, path)


def shrink(path):
    torch.save({"weights": {}, "hash": ""}, path)


@pytest.mark.parametrize("damage", [cut, scribble, alter, shrink])
def test_a_damaged_file_is_trained_again_with_a_warning(contexts, trainings, damage, caplog):
    context = contexts()
    name = domain_classifier(context).name
    (path,) = cached(context)
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert domain_classifier(contexts()).name == name
    assert f"{path} is damaged" in caplog.text
    assert len(trainings) == 2
    assert domain_classifier(contexts()).name == name
    assert len(trainings) == 2, "the file is whole again"
    assert cached(context) == [path]


def test_one_of_two_processes_trains_and_the_other_waits(contexts, trainings, monkeypatch):
    context, rival = contexts(), contexts()
    train, waiting, names = module.train_classifier, threading.Event(), []

    def slow(*args, **options):
        waiting.wait(60)
        return train(*args, **options)

    def heard(text):
        if "waiting for the domain classifier of tiny" in text:
            waiting.set()

    monkeypatch.setattr(module, "train_classifier", slow)
    monkeypatch.setattr(module, "say", heard)
    other = threading.Thread(target=lambda: names.append(domain_classifier(rival).name))
    first = threading.Thread(target=lambda: names.append(domain_classifier(context).name))
    for thread in (first, other):
        thread.start()
    for thread in (first, other):
        thread.join(60)
    assert waiting.is_set()
    assert len(names) == 2
    assert len(set(names)) == 1
    assert len(trainings) == len(cached(context)) == 1


def test_a_long_training_says_how_far_it_is(contexts, monkeypatch, capsys):
    monkeypatch.setattr(module, "SAY_EVERY_S", 0.0)
    domain_classifier(contexts())
    assert "domain classifier of tiny: 1 of 3 steps, 0:00:0" in capsys.readouterr().err


def test_the_random_state_is_left_alone(contexts):
    before = torch.get_rng_state()
    domain_classifier(contexts())
    domain_classifier(contexts())
    assert torch.equal(torch.get_rng_state(), before)


def test_it_can_be_trained_while_the_caller_infers(contexts):
    with torch.inference_mode():
        domain_classifier(contexts())


def test_progress_is_two_lines_on_stderr(contexts, capsys):
    domain_classifier(contexts())
    out, err = capsys.readouterr()
    assert not out
    assert "training the domain classifier of tiny: 3 steps" in err
    assert "of 24 real images that it has not seen it classifies" in err
    domain_classifier(contexts())
    assert capsys.readouterr() == ("", "")


def test_points_are_not_applicable(contexts, moons):
    with pytest.raises(NotApplicable, match="moons are not images"):
        domain_classifier(contexts(moons))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        *[(shape, True) for shape in ((8, 8), (4, 4), (5, 3), (7, 20), (64, 64))],
        *[(shape, False) for shape in ((3, 5), (1, 16), (4, 1), (40, 8))],
    ],
)
def test_images_that_the_network_cannot_look_at_are_refused(contexts, shape, expected):
    spec = DataSpec("odd", (1, *shape), ("a", "b"))
    assert fits(spec) == expected
    if expected:
        with torch.device("meta"):
            SmallClassifier(spec)(torch.zeros(1, *spec.shape))
        return
    split = Split(torch.zeros(4, *spec.shape, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    context = contexts(DataSet(spec, split, split, split, False, fingerprint(split)))
    with pytest.raises(NotApplicable, match=rf"these are {shape[1]} wide and {shape[0]} high"):
        domain_classifier(context)
