import pytest
import torch

from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy


def test_real_digits_are_what_they_are(real, context, judge):
    (found,) = ClassAccuracy().measure(real, context)
    assert found.value == pytest.approx(100 * judge.test_accuracy)
    assert found.value >= 97
    assert found.protocol == f"accuracy[extractor={judge.name},n=500]"
    assert ClassAccuracy.unit == "%"


def test_wrong_labels_are_wrong(real, context, judge):
    wrong = SampleSet(real.x, (real.y + 1) % 10, real.spec)
    assert ClassAccuracy().measure(wrong, context)[0].value < 3


def test_a_quarter_wrong_is_a_quarter_less(real, context, judge):
    known = judge.logits(real.x).argmax(dim=1) == real.y
    x, y = real.x[known][:400], real.y[known][:400].clone()
    y[:100] = (y[:100] + 1) % 10
    assert ClassAccuracy().measure(SampleSet(x, y, real.spec), context)[0].value == 75


def test_the_order_of_the_samples_does_not_matter(real, context, judge):
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    mixed = SampleSet(real.x[order], real.y[order], real.spec)
    assert ClassAccuracy().measure(mixed, context) == ClassAccuracy().measure(real, context)


def test_the_random_state_is_left_alone(real, context, judge):
    before = torch.get_rng_state()
    ClassAccuracy().measure(real, context)
    assert torch.equal(torch.get_rng_state(), before)


def test_points_are_not_applicable(contexts, moons, moons_samples):
    with pytest.raises(NotApplicable, match="moons are no images"):
        ClassAccuracy().measure(moons_samples, contexts(moons))
