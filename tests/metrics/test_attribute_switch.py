import pytest
import torch

from baselines.ccvae import CCVAE
from baselines.csvae import CSVAE
from bench.data.digits import DigitAttributes
from bench.errors import NotApplicable
from bench.metrics import attribute_switch
from bench.metrics.attribute_switch import AttributeSwitch, turned
from bench.training.interface import Code, Switches
from tests.metrics.coders import Halves, marked, measure

SPEC = DigitAttributes().spec  # odd, five or more, loop


class Reader:
    """A judge that reads each attribute from a pixel, and finds the class that has these."""

    name = "reader"

    def logits(self, x):
        shown = (x[:, 0, 0, :3] > 127).long()
        classes = torch.tensor(SPEC.combinations)
        return (shown[:, None] == classes).all(dim=2).float()


class Blocks(Halves):
    """The relevant code is the row of attributes, the irrelevant one the rest."""

    def __init__(self, also=None, does=True):
        super().__init__()
        self.also, self.does = also, does

    def encode(self, x, y=None):
        flat = x.flatten(1)
        return Code(flat[:, :3], flat[:, 3:])

    def decode(self, code, y=None):
        return torch.cat(code, dim=1).view(-1, 1, 8, 8)

    def switch(self, code, attribute, values):
        relevant = code.relevant.clone()
        if self.does:
            relevant[:, attribute] = values.float() * 2 - 1
        if self.also is not None:
            relevant[:, self.also] *= -1
        return Code(relevant, code.irrelevant)


@pytest.fixture(scope="module")
def data():
    made = marked(per_class=10, spec=SPEC)
    rows = SPEC.attributes_of(made.test.y)
    made.test.x[:, 0, 0, :3] = (255 * rows).to(torch.uint8)
    return made


@pytest.fixture
def figures(data, monkeypatch):
    monkeypatch.setattr(attribute_switch, "domain_classifier", lambda *_: Reader())

    def figures(model):
        found = measure(AttributeSwitch(), model, data)
        assert len(found) == 8
        names = ("mean", *SPEC.attributes)
        by_metric = [found[:4], found[4:]]
        assert [{m.metric for m in some} for some in by_metric] == [
            {"attribute_switch"},
            {"attribute_stay"},
        ]
        return [dict(zip(names, (m.value for m in some), strict=True)) for some in by_metric]

    return figures


def test_a_perfect_model_turns_one_attribute_and_leaves_the_others(figures):
    switched, stayed = figures(Blocks())
    assert set(switched.values()) == {100}
    assert set(stayed.values()) == {100}


def test_a_model_that_does_nothing_turns_nothing(figures):
    switched, stayed = figures(Blocks(does=False))
    assert set(switched.values()) == {0}
    assert set(stayed.values()) == {100}


def test_a_model_that_turns_another_attribute_too_gets_worse(figures):
    _, stayed = figures(Blocks(also=2))
    assert stayed["odd"] < 100
    assert stayed["mean"] < 100


def test_only_combinations_that_occur_are_asked_for(data, monkeypatch):
    """Of 000, 001, 011, 100, 110 and 111 all but 001 and 110 occur with another first value."""
    monkeypatch.setattr(attribute_switch, "domain_classifier", lambda *_: Reader())
    assert turned(SPEC, 0).tolist() == [3, -1, 5, 0, -1, 2]
    found = measure(AttributeSwitch(), Blocks(), data)
    how = "extractor=reader,label=none,to=prior mean"
    assert found[0].protocol == f"accuracy[{how},images<=60]"
    assert found[1].protocol == f"accuracy[of=odd,{how},n=40]"


def test_an_attribute_that_never_differs_alone_has_a_reason(monkeypatch):
    monkeypatch.setattr(attribute_switch, "domain_classifier", lambda *_: Reader())
    from dataclasses import replace

    spec = replace(SPEC, class_names=("none", "all"), combinations=((0, 0, 0), (1, 1, 1)))
    found = measure(AttributeSwitch(), Blocks(), marked(per_class=5, spec=spec))
    assert [m.value for m in found] == [None] * 6
    assert found[0].reason == "no combination differs in odd alone"


def test_it_needs_attributes_and_a_model_that_was_made_for_them(data):
    with pytest.raises(NotApplicable, match="marked have one label, no attributes"):
        measure(AttributeSwitch(), Blocks(), marked())
    with pytest.raises(NotApplicable, match="no part of its code for each attribute"):
        measure(AttributeSwitch(), Halves(), data)


@pytest.mark.parametrize("model", [CSVAE, CCVAE])
def test_models_put_one_part_at_the_prior_mean_and_leave_the_rest(model, data):
    torch.manual_seed(0)
    model = model(SPEC, width=0.25, relevant=6).eval()
    assert isinstance(model, Switches)
    x, y = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 2, 5])
    with torch.inference_mode():
        code = model.encode(x, SPEC.attributes_of(y))
        before = code.relevant.clone()
        found = model.switch(code, 1, torch.tensor([1, 1, 0, 0]))
    assert torch.equal(code.relevant, before)
    assert torch.equal(found.irrelevant, code.irrelevant)
    assert torch.equal(found.relevant[:, [0, 1, 4, 5]], code.relevant[:, [0, 1, 4, 5]])
    means = model.class_prior()[0]  # of 000, 001, 011, 100, 110, 111
    assert torch.equal(found.relevant[:, 2:4], means[[2, 2, 0, 0], 2:4])
