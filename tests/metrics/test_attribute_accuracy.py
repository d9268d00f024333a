from dataclasses import replace

import pytest
import torch

from bench.data.digits import DigitAttributes
from bench.metrics import attribute_accuracy
from bench.metrics.attribute_accuracy import AttributeAccuracy
from bench.metrics.base import SampleSet
from tests.metrics.autoencoders import PixelClassifier

SPEC = DigitAttributes().spec


@pytest.fixture
def measure(monkeypatch, contexts, tiny):
    classifier = PixelClassifier(SPEC.classes, step=1)
    monkeypatch.setattr(attribute_accuracy, "domain_classifier", lambda *_: classifier)

    def measure(shown, asked):
        x = torch.zeros(len(shown), 1, 8, 8, dtype=torch.uint8)
        x[:, 0, 0, 0] = torch.tensor(shown)
        samples = SampleSet(x, torch.tensor(asked), SPEC)
        found = AttributeAccuracy().measure(samples, contexts(replace(tiny(), spec=SPEC)))
        return {m.protocol: m.value for m in found}

    return measure


def test_what_is_shown_as_asked_is_right(measure):
    found = measure([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])
    assert list(found) == [
        "accuracy[extractor=reader,n=6]",
        "accuracy[of=odd,extractor=reader,n=6]",
        "accuracy[of=five or more,extractor=reader,n=6]",
        "accuracy[of=loop,extractor=reader,n=6]",
    ]
    assert set(found.values()) == {100.0}


def test_one_wrong_attribute_of_three_is_a_third(measure):
    """Class 4 is odd and five or more, class 3 only odd."""
    mean, odd, five, loop = measure([3, 4], [4, 4]).values()
    assert (odd, five, loop) == (100, 50, 100)
    assert mean == pytest.approx(250 / 3)


def test_nothing_right_is_nothing(measure):
    assert set(measure([0], [5]).values()) == {0.0}
