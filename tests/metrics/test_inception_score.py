import math
from dataclasses import replace

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from bench.errors import BenchError
from bench.metrics.inception_score import InceptionScore, inception_score


def random_logits(n=200, classes=10, scale=3.0):
    return scale * torch.randn(n, classes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("logits", "score"),
    [
        (50 * torch.eye(10).repeat(20, 1), 10),
        (torch.zeros(30, 10), 1),
        (50 * torch.eye(10)[[3] * 30], 1),
    ],
    ids=["confident and balanced", "uniform", "one class only"],
)
def test_the_score_lies_between_one_and_the_number_of_classes(logits, score):
    assert inception_score(logits) == pytest.approx(score, rel=1e-12)


def test_two_kinds_of_images_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    expected = math.exp(0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5))
    assert inception_score(p.log().repeat(8, 1)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("splits", [1, 7, 10])
def test_it_is_that_of_torch_fidelity(splits):
    logits = random_logits()
    found = isc_features_to_metric(logits, splits=splits, shuffle=True, rng_seed=0)
    expected = found["inception_score_mean"]
    assert inception_score(logits, splits) == pytest.approx(expected, rel=1e-9)


def test_the_order_of_the_rows_does_not_matter():
    logits = random_logits()
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert inception_score(logits[order]) == pytest.approx(inception_score(logits), rel=1e-12)


def test_a_shift_of_all_logits_does_not_matter():
    logits = random_logits().double()
    assert inception_score(logits + 1e4) == pytest.approx(inception_score(logits), rel=1e-9)


def test_rows_in_the_order_of_their_classes_do_not_score_one():
    logits = 50 * torch.eye(10).repeat_interleave(50, dim=0)
    assert inception_score(logits, 10) > 9


def test_saturated_logits_of_a_class_that_never_occurs_are_no_nan():
    logits = 1e6 * torch.eye(4)[:3].repeat(5, 1)
    assert math.isnan(isc_features_to_metric(logits, splits=1)["inception_score_mean"])
    assert inception_score(logits) == pytest.approx(3, rel=1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_an_error(value):
    logits = random_logits()
    logits[3, 3] = value
    with pytest.raises(BenchError, match="not finite"):
        inception_score(logits)


def test_real_digits_come_near_the_number_of_classes(real, context, classifier):
    (found,) = InceptionScore().measure(real, context)
    assert 9 < found.value <= 10
    assert found.metric == "inception_score"
    assert found.protocol == f"is[extractor={classifier.name},n=500,splits=1]"


def test_more_splits_are_another_protocol(real, context, classifier):
    (found,) = InceptionScore(splits=5).measure(real, context)
    assert found.protocol.endswith("n=500,splits=5]")


def test_splits_depend_on_the_images_and_not_on_their_order_or_labels(real, context):
    metric = InceptionScore(splits=5)
    [first] = metric.measure(real, context)
    order = torch.randperm(len(real.y), generator=torch.Generator().manual_seed(0))
    [other] = metric.measure(replace(real, x=real.x[order], y=real.y[order]), context)
    assert other.value == pytest.approx(first.value, rel=1e-12)
