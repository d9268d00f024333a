import pytest

from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy


def test_real_digits_are_what_they_are(real, context, classifier):
    (found,) = ClassAccuracy().measure(real, context)
    right = classifier.logits(real.x).argmax(dim=1) == real.y
    assert found.value == pytest.approx(100 * right.double().mean().item())
    assert found.value >= 97
    assert found.protocol == f"accuracy[extractor={classifier.name},n=500]"


def test_wrong_labels_are_wrong(real, context):
    wrong = SampleSet(real.x, (real.y + 1) % 10, real.spec)
    assert ClassAccuracy().measure(wrong, context)[0].value < 3


def test_a_quarter_wrong_is_a_quarter_less(real, context, classifier):
    known = classifier.logits(real.x).argmax(dim=1) == real.y
    x, y = real.x[known][:400], real.y[known][:400].clone()
    y[:100] = (y[:100] + 1) % 10
    assert ClassAccuracy().measure(SampleSet(x, y, real.spec), context)[0].value == 75
