from dataclasses import replace

import pytest
import torch

from baselines.ccvae import CCVAE
from baselines.csvae import CSVAE
from bench.data.base import Split
from bench.data.digits import DigitAttributes
from bench.errors import NotApplicable
from bench.metrics import attribute_switch
from bench.metrics.attribute_switch import AttributeSwitch, donors_of, switched_classes
from bench.metrics.encoder_decoder import EncoderDecoder
from bench.training.interface import Code, Switches
from tests.metrics.autoencoders import Halves, NeedsLabel, PixelClassifier, marked, measure
from tests.metrics.autoencoders import context as make_context

SPEC = DigitAttributes().spec  # odd, five or more, loop


class AttributeClassifier:
    """A classifier that reads each attribute from a pixel, and finds the class that has these."""

    name = "reader"

    def logits(self, x):
        shown = (x[:, 0, 0, :3] > 127).long()
        classes = torch.tensor(SPEC.combinations)
        return (shown[:, None] == classes).all(dim=2).float()


class Blocks(Halves):
    """The relevant code is the attributes, the irrelevant one the rest."""

    def __init__(self, also=None, does=True):
        super().__init__()
        self.also, self.does = also, does

    def encode(self, x, y=None):
        flat = x.flatten(1)
        return Code(flat[:, :3], flat[:, 3:])

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
    made.test.x[:, 0, 0, :3] = (255 * SPEC.attributes_of(made.test.y)).to(torch.uint8)
    return made


@pytest.fixture(autouse=True)
def attribute_classifier(monkeypatch):
    monkeypatch.setattr(attribute_switch, "domain_classifier", lambda *_: AttributeClassifier())


@pytest.fixture
def shares(data):
    """Return the values of the two shares by attribute, and their means."""

    def shares(model, **options):
        found = measure(AttributeSwitch(**options), model, data)
        expected = ["attribute_switch"] * 4 + ["attribute_stay"] * 4 + ["attribute_change"]
        assert [m.metric for m in found] == expected
        names = ("mean", *SPEC.attributes)
        quantities = (found[:4], found[4:8])
        return [dict(zip(names, (m.value for m in some), strict=True)) for some in quantities]

    return shares


each_goal = pytest.mark.parametrize("to", ["mean", "image"])


@each_goal
def test_a_perfect_model_turns_one_attribute_and_leaves_the_others(shares, to):
    switched, stayed = shares(Blocks(), to=to)
    assert set(switched.values()) == {100}
    assert set(stayed.values()) == {100}


@each_goal
def test_a_model_that_does_nothing_turns_nothing(shares, to):
    switched, stayed = shares(Blocks(does=False), to=to)
    assert set(switched.values()) == {0}
    assert set(stayed.values()) == {100}


@each_goal
def test_a_model_that_turns_another_attribute_too_gets_worse(shares, to):
    _, stayed = shares(Blocks(also=2), to=to)
    assert stayed["odd"] < 100
    assert stayed["mean"] < 100


class ByLabel(NeedsLabel):
    """The attributes are in the label alone; the first three pixels show it."""

    def decode(self, code, y=None):
        upper = torch.zeros_like(code.irrelevant)
        upper[:, :3] = SPEC.attributes_of(y).float() * 2 - 1
        return super(NeedsLabel, self).decode(Code(upper, code.irrelevant))


class ByClass(Halves):
    """The first three pixels are the relevant code, with a prior for each class."""

    def encode(self, x, y=None):
        flat = x.flatten(1)
        return Code(flat[:, :3], flat[:, 3:])

    def posterior(self, x, y=None):
        raise AssertionError("nobody asks")

    def class_prior(self):
        means = torch.tensor(SPEC.combinations) * 2.0 - 1
        return means, torch.ones_like(means)


class AllRelevant(ByClass):
    """The whole image is the relevant code, and class means differ in the first three pixels."""

    def __init__(self, reach=1.0):
        super().__init__()
        self.reach = reach

    def encode(self, x, y=None):
        return Code(x.flatten(1), None)

    def decode(self, code, y=None):
        return code.relevant.view(-1, 1, 8, 8).clamp(-1, 1)

    def class_prior(self):
        means, _ = super().class_prior()
        means = torch.cat((self.reach * means, torch.full((len(means), 61), 0.5)), dim=1)
        return means, torch.ones_like(means)


@pytest.mark.parametrize(
    ("model", "label"),
    [(Blocks(), "none"), (ByClass(), "none"), (ByLabel(), "given"), (AllRelevant(), "given")],
    ids=["part", "prior", "label", "all"],
)
def test_an_attribute_is_changed_where_the_model_keeps_it(data, model, label):
    """One pixel of 64 turns from 0 to 1, all others stay."""
    found = measure(AttributeSwitch(), model, data)
    assert [m.value for m in found[:-1]] == [100] * 8
    assert f"label={label},to=prior mean" in found[0].protocol
    if not isinstance(model, ByLabel):  # whose decoder knows three pixels of the upper half alone
        assert found[-1].value == pytest.approx(1 / 64)
    assert found[-1].protocol == f"mse[8bit,label={label},to=prior mean,images<=60]"


def test_a_code_that_is_all_moves_no_further_than_the_means_differ(shares):
    switched, _ = shares(AllRelevant(reach=0.1))
    assert set(switched.values()) == {0}, "a step of 0.2 crosses no threshold"


def test_only_combinations_that_occur_are_asked_for(data):
    """Of 000, 001, 011, 100, 110 and 111 all but 001 and 110 occur with another first value."""
    assert switched_classes(SPEC, 0).tolist() == [3, -1, 5, 0, -1, 2]
    found = measure(AttributeSwitch(), Blocks(), data)
    how = "extractor=reader,label=none,to=prior mean"
    assert found[0].protocol == f"accuracy[{how},images<=60]"
    assert found[1].protocol == f"accuracy[of=odd,{how},n=40]"


def test_the_part_of_an_attribute_comes_from_an_image_that_has_the_other_value(data):
    """A swap passes on what is special to the other image, not a mean."""
    model, test = Blocks(), data.test
    context = make_context(model, data)
    coder = EncoderDecoder(context)
    values = SPEC.attributes_of(test.y)[:, 1]
    donors = donors_of(values, torch.arange(len(test)))
    assert torch.equal(values[donors], 1 - values)
    assert len(donors.unique()) > len(test) / 3
    code, donor = (coder.encode(test.x[i], test.y[i]) for i in (slice(None), donors))
    found = coder.transplant(code, donor, 1)
    assert torch.equal(found.relevant[:, 1], donor.relevant[:, 1])
    assert torch.equal(found.relevant[:, [0, 2]], code.relevant[:, [0, 2]])
    assert torch.equal(found.irrelevant, code.irrelevant)
    found = measure(AttributeSwitch(to="image"), model, data)
    assert found[1].protocol == "accuracy[of=odd,extractor=reader,label=none,to=other image,n=40]"


def test_an_attribute_that_no_image_has_cannot_come_from_one(data):
    is_first = data.test.y == 0  # 000
    test = Split(data.test.x[is_first], data.test.y[is_first])
    found = measure(AttributeSwitch(to="image"), Blocks(), replace(data, test=test))
    assert found[0].reason == "odd is the same in all 10 test images, so none has another"
    assert measure(AttributeSwitch(), Blocks(), replace(data, test=test))[0].value == 100


def test_an_attribute_that_never_differs_alone_has_a_reason():
    spec = replace(SPEC, class_names=("none", "all"), combinations=((0, 0, 0), (1, 1, 1)))
    found = measure(AttributeSwitch(), Blocks(), marked(per_class=5, spec=spec))
    assert [m.value for m in found] == [None] * 7
    assert found[0].reason == "no combination differs in odd alone"


def test_a_single_attribute_leaves_no_other(monkeypatch):
    monkeypatch.setattr(attribute_switch, "domain_classifier", lambda *_: PixelClassifier(2))
    names, combinations = ("even", "odd"), ((0,), (1,))
    spec = replace(SPEC, class_names=names, attributes=("odd",), combinations=combinations)
    *switched, stayed, _ = measure(AttributeSwitch(), Blocks(), marked(per_class=5, spec=spec))
    assert [(m.metric, m.value) for m in switched] == [("attribute_switch", 100)] * 2
    assert stayed == ("attribute_stay", "", None, "there is no other attribute", None)


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
