from dataclasses import replace

import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import nn

from bench import registry
from bench.data.base import DataSpec, Split, to_float
from bench.errors import BenchError
from bench.metrics.classification_accuracy import ClassificationAccuracy
from tests.metrics.autoencoders import PixelClassifier, marked, measure


class Reader(nn.Module):
    """A model that reads the class from the first pixel."""

    def class_logits(self, x):
        return PixelClassifier().logits(x * 127.5 + 127.5)


class Table(nn.Module):
    """A model with the same probabilities for every image."""

    def __init__(self, *probabilities):
        super().__init__()
        self.logits = torch.tensor(probabilities).log()

    def class_logits(self, x):
        return self.logits.expand(len(x), -1)


def with_labels(y, spec):
    data = marked(per_class=1, spec=spec)
    x = torch.zeros(len(y), *spec.shape, dtype=torch.uint8)
    return replace(data, spec=spec, test=Split(x, torch.tensor(y)))


def test_a_quarter_wrong_is_a_quarter_less():
    data = marked(per_class=40)
    y = data.test.y.clone()
    y[:40] = 3
    (found,) = measure(
        ClassificationAccuracy(), Reader(), replace(data, test=Split(data.test.x, y))
    )
    assert found.value == 75
    assert found.protocol == "accuracy[chance=50.0,n=160]"
    assert found.error == pytest.approx(100 * (0.75 * 0.25 / 159) ** 0.5), "binomial"


@pytest.mark.parametrize("name", ["lr_livae", "ccvae", "cvae_gan_bao"])
def test_models_are_measured_as_scikit_learn_does(name):
    torch.manual_seed(0)
    data = marked(per_class=30)
    model = registry.load("model", name)(data.spec, width=0.25)
    with torch.inference_mode():
        seen = model.eval().class_logits(to_float(data.test.x)).argmax(dim=1)
    (found,) = measure(ClassificationAccuracy(), model, data)
    assert found.value == pytest.approx(100 * accuracy_score(data.test.y, seen))


def test_an_attribute_is_decided_by_all_classes_that_have_it():
    """The first class is the most probable, but 0.3 + 0.35 have the second attribute."""
    spec = DataSpec("two", (1, 8, 8), ("0", "b", "a + b"), ("a", "b"), ((0, 0), (0, 1), (1, 1)))
    data = with_labels([0, 1, 2, 2], spec)
    mean, a, b = measure(ClassificationAccuracy(), Table(0.35, 0.3, 0.35), data)
    assert (a.value, b.value, mean.value) == (50, 75, 62.5)
    assert [one.protocol for one in (mean, a, b)] == [
        "accuracy[chance=62.5,n=4]",
        "accuracy[of=a,chance=50.0,n=4]",
        "accuracy[of=b,chance=75.0,n=4]",
    ]
    shares = torch.tensor([0.5, 1, 0.5, 0.5])  # of each image
    assert mean.error == pytest.approx(100 * shares.std().item() / 2)


def test_a_single_image_has_no_error():
    (found,) = measure(
        ClassificationAccuracy(), Table(0.1, 0.2, 0.3, 0.4), with_labels([3], marked().spec)
    )
    assert (found.value, found.error) == (100, None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Table(0.5, 0.5), r"class_logits\(\) returned \[160, 2\] .* not \[160, 4\]"),
        (Table(-1.0, 0.5, 0.5, 0.5), "class logits .* not finite"),
    ],
    ids=["too few classes", "not a number"],
)
def test_logits_that_are_none_are_an_error(model, message):
    with pytest.raises(BenchError, match=message):
        measure(ClassificationAccuracy(), model, marked())
