from dataclasses import replace

import pytest
import torch

from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics import swap
from bench.metrics.swap import Swap, correlation, pairs_of
from bench.training.interface import Code
from tests.metrics.autoencoders import (
    CLASSES,
    Collapsed,
    Deaf,
    Exchanged,
    Fixed,
    Halves,
    NeedsLabel,
    PixelClassifier,
    marked,
    measure,
    values,
)


@pytest.fixture(scope="module")
def data():
    return marked()


@pytest.fixture(autouse=True)
def pixel_classifier(monkeypatch):
    monkeypatch.setattr(swap, "domain_classifier", lambda *_: PixelClassifier())


def test_a_perfect_model_takes_the_class_from_a_and_keeps_the_rest_of_b(data):
    found = values(Swap(pairs=100), Halves(), data)
    assert found["swap_relevant"] == 100
    assert found["swap_irrelevant"] == 0
    assert found["swap_keeps_irrelevant"] == pytest.approx(1)


def test_it_gets_worse_where_the_class_is_in_the_irrelevant_code(data):
    found = values(Swap(pairs=100), Exchanged(), data)
    assert found["swap_relevant"] == 0
    assert found["swap_irrelevant"] == 100


def test_it_gets_worse_where_the_decoder_ignores_the_irrelevant_code(data):
    found = values(Swap(pairs=100), Deaf(), data)
    assert found["swap_relevant"] == 100
    assert found["swap_keeps_irrelevant"] == pytest.approx(0, abs=1e-9)


def test_one_image_for_all_codes_has_the_class_of_a_as_often_as_any(data):
    found = values(Swap(pairs=100), Fixed(-1.0), data)
    assert found["swap_relevant"] == 100 / CLASSES
    assert found["swap_keeps_irrelevant"] == 0


def test_the_label_is_the_relevant_code_of_a_model_that_has_none(data):
    found = measure(Swap(pairs=100), NeedsLabel(), data)
    assert [m.value for m in found[:2]] == [100, 0]
    assert found[2].value == pytest.approx(1)
    source = "relevant=label,label=given,codes=mean"
    assert found[0].protocol == f"accuracy[extractor=reader,{source},pairs=100]"
    assert found[2].protocol == f"correlation[{source},pairs=100]"


def test_a_collapsed_code_has_a_reason(data):
    assert measure(Swap(pairs=10), Collapsed(), data)[2].reason.startswith("the irrelevant code is")


def test_models_and_data_without_two_parts_have_none(data):
    class Single(Halves):
        def encode(self, x, y=None):
            return Code(x.flatten(1), None)

    with pytest.raises(NotApplicable, match="no irrelevant code to swap"):
        measure(Swap(), Single(), data)
    alone = replace(data, test=Split(data.test.x[:40], data.test.y[:40]))
    with pytest.raises(NotApplicable, match="one class only"):
        measure(Swap(), Halves(), alone)


def test_pairs_are_of_different_classes_and_balanced_where_images_are_not():
    y = torch.tensor([2, 0, 0, 0, 0, 0, 5, 2])
    split = Split(torch.zeros(8, 2), y)
    a, b = pairs_of(split, 3000)
    assert (y[a] != y[b]).all()
    assert torch.bincount(y[a])[[0, 2, 5]].tolist() == [1000] * 3
    assert torch.bincount(y[b])[[0, 2, 5]].float() == pytest.approx([1000] * 3, rel=0.1)
    assert torch.bincount(a).min() > 150
    again = pairs_of(split, 3000)
    assert torch.equal(a, again[0])
    assert torch.equal(b, again[1])


def test_correlation_is_bounded_and_ignores_shift_and_scale():
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 5000, 4, generator=generator)
    assert correlation(u, 5 + 0.1 * u) == pytest.approx(1)
    assert correlation(u, v) == pytest.approx(0, abs=0.03)
    assert correlation(u, u + v) == pytest.approx(0.5**0.5, abs=0.03)
    dead = torch.cat((u, torch.zeros_like(u)), dim=1)
    assert correlation(dead, dead) == pytest.approx(1)
    assert correlation(u, torch.ones_like(u)) == 0
    assert correlation(torch.ones_like(u), u) is None
