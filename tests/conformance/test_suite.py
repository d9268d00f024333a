"""The conformance suite is able to fail, and says where."""

import inspect
import re

import pytest
import torch
from torch import nn

from bench import registry
from bench.conformance import suite
from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Remark, Violation
from bench.errors import BenchError
from bench.spec.declaration import ModelProblem
from bench.training.interface import Code, Stage
from tests.small import OPTIONS, small

CVAE = registry.load("model", "cvae")


def violation(monkeypatch, check, **changes):
    """Break cVAE and return what a check says."""
    for name, value in changes.items():
        monkeypatch.setattr(CVAE, name, value)
    with pytest.raises(Violation) as caught:
        check(ModelUnderTest.of("cvae", OPTIONS["cvae"]))
    return str(caught.value)


@pytest.fixture
def terms():
    return CVAE.terms


def test_a_term_of_several_numbers_is_caught(monkeypatch, terms):
    text = violation(
        monkeypatch,
        suite.terms_are_scalars,
        terms=lambda self, s, b, w: {**terms(self, s, b, w), "kl": torch.zeros(3)},
    )
    assert "returned [3] numbers as term 'kl'; take their mean" in text


def test_randomness_that_depends_on_wanted_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        if len(wanted) > 1:
            torch.rand(1)
        return terms(self, stage, batch, wanted)

    text = violation(monkeypatch, suite.terms_ignore_what_else_is_wanted, terms=broken)
    assert "does not depend on `wanted`" in text


def test_a_detached_code_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        values = terms(self, stage, batch, wanted)
        code = Code(None, self.encode(batch.x, batch.y).irrelevant.detach())
        image = self.decode(code, batch.y)
        return {**values, "reconstruct": (image - batch.x).square().mean()}

    text = violation(monkeypatch, suite.terms_reach_their_players, terms=broken)
    assert "player 'encoder' descends 'reconstruct'" in text


def test_hidden_state_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        self.calls = getattr(self, "calls", 0) + 1
        values = terms(self, stage, batch, wanted)
        return {**values, "kl": values["kl"] * self.calls}

    text = violation(monkeypatch, suite.resume_is_exact, terms=broken)
    assert "differs after a resumption" in text


def test_a_branch_on_a_value_is_caught_by_its_line(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        return terms(self, stage, batch, wanted) if batch.x.mean().item() < 2 else {}

    monkeypatch.setattr(CVAE, "terms", broken)
    with pytest.raises(Remark) as caught:
        suite.stages_compile_as_one_graph(ModelUnderTest.of("cvae", OPTIONS["cvae"]))
    assert str(caught.value).startswith("stage 'main' does not compile as one graph: ")
    assert caught.value.place == f"{__file__}:{broken.__code__.co_firstlineno + 1}, in broken"


def test_a_term_that_is_missing_is_named(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        values = terms(self, stage, batch, wanted)
        return {term: value for term, value in values.items() if term != "kl" or len(wanted) > 1}

    text = violation(monkeypatch, suite.terms_ignore_what_else_is_wanted, terms=broken)
    assert text.startswith("stage 'main' did not return the wanted terms kl; it returned reconstr")


def test_players_that_are_a_text_are_caught(monkeypatch):
    monkeypatch.setattr(CVAE, "stages", (Stage("main", "encoder"),))
    with pytest.raises(ModelProblem, match=r"of stage 'main' are a string; write \('encoder',\)"):
        ModelUnderTest.of("cvae", OPTIONS["cvae"])


def test_a_gradient_that_is_not_finite_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        values = terms(self, stage, batch, wanted)
        return {**values, "kl": values["kl"] + (values["kl"] - values["kl"].detach()).sqrt()}

    check = suite.players_get_the_gradients_of_their_own_terms
    text = violation(monkeypatch, check, terms=broken)
    assert text.startswith("the gradient of player 'encoder' is not finite")


def checked(bench, monkeypatch, **changes):
    """Break cVAE and return what the command says of it."""
    for name, value in changes.items():
        monkeypatch.setattr(CVAE, name, value)
    status, out, _ = bench("check", "cvae", "width=0.25", "latent=4")
    assert status == 1
    return out.splitlines()


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ("players", "CVAE: these parameters belong to no player: encoder.first.weight"),
        ("terms", "term 'kl' is torch.float32 [] nan, expected one finite float32 number"),
    ],
)
def test_nothing_is_checked_after_an_essential_failure(method, problem, bench, monkeypatch):
    players, terms = CVAE.players, CVAE.terms
    broken = {
        "players": lambda self: {
            name: [p for p in own if p is not self.encoder.first.weight]
            for name, own in players(self).items()
        },
        "terms": lambda *args: {**terms(*args), "kl": terms(*args)["kl"] * float("nan")},
    }
    lines = checked(bench, monkeypatch, **{method: broken[method]})
    assert problem in lines[-4]
    made = sum(line[:4] in ("ok  ", "FAIL", "n/a ") for line in lines)
    left = len(suite.RULES) - made
    assert lines[-1] == f"cvae: 1 failed; fix this first: {left} more checks"


def test_an_error_of_a_model_is_told_by_its_own_lines(bench, monkeypatch):
    def broken(self, y, generator=None):
        return torch.nn.Linear(3, 4)(torch.zeros(2, 5))

    lines = checked(bench, monkeypatch, sample=broken)
    at = next(n for n, line in enumerate(lines) if line.startswith("FAIL  samples-fit-the-data"))
    told = [line.strip() for line in lines[at + 1 :]]
    assert told[:2] == [
        "RuntimeError: addmm: mat1 and mat2 shapes cannot be multiplied (2x5 and 3x4)",
        f"{__file__}:{broken.__code__.co_firstlineno + 1}, in broken",
    ]
    assert lines[-1] == "cvae: 1 failed; fix this first: 11 more checks"


def test_examples_without_label_that_spoil_a_term_are_caught(monkeypatch):
    monkeypatch.setattr("models.terms.moment_match", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        suite.examples_without_label_are_welcome(small("lr_livae"))


def test_sampling_from_the_default_generator_is_caught(monkeypatch):
    sample = CVAE.sample
    text = violation(
        monkeypatch,
        suite.samples_follow_their_generator,
        sample=lambda self, y, generator=None: sample(self, y),
    )
    assert "default generator" in text


def test_samples_out_of_range_are_caught(monkeypatch):
    sample = CVAE.sample
    text = violation(
        monkeypatch,
        suite.samples_fit_the_data,
        sample=lambda self, y, generator=None: 9 * sample(self, y, generator) + 2,
    )
    assert "not in [-1, 1]" in text


def test_samples_in_zero_to_one_are_remarked(bench, monkeypatch):
    sample = CVAE.sample
    monkeypatch.setattr(CVAE, "sample", lambda *a: sample(*a) / 2 + 0.5)
    status, out, _ = bench("check", "cvae", "width=0.25", "latent=4")
    assert status == 0
    note = (
        r"note  samples-use-the-whole-range +Samples of images use negative values too\n +no pixel"
    )
    assert re.search(note, out), out


def frozen_encoder(self, spec, **options):
    """Make a cVAE with a network that is not trained, and its batch norm."""
    INIT(self, spec, **options)
    self.backbone = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)).requires_grad_(False)


INIT, TERMS = CVAE.__init__, CVAE.terms


@pytest.fixture
def frozen(monkeypatch):
    frozen_encoder.__signature__ = inspect.signature(INIT)
    frozen_encoder.__annotations__ = INIT.__annotations__

    def terms(self, stage, batch, wanted):
        self.backbone(batch.x)
        return TERMS(self, stage, batch, wanted)

    monkeypatch.setattr(CVAE, "__init__", frozen_encoder)
    monkeypatch.setattr(CVAE, "terms", terms)
    return terms


@pytest.mark.usefixtures("frozen")
def test_frozen_modules_belong_to_no_player_and_stay_in_evaluation_mode():
    under_test = ModelUnderTest.of("cvae", OPTIONS["cvae"])
    assert "backbone" not in under_test.model().players()
    for check in (suite.players_move_in_a_stage, suite.frozen_modules_stay_as_they_are):
        check(under_test)
    trainer = under_test.trainer()
    trainer.prepare()
    trainer.iterate(0)
    assert trainer.model.backbone[1].running_mean.tolist() == [0]


def test_a_frozen_module_that_the_model_trains_is_caught(frozen, monkeypatch):
    def broken(self, *args):
        self.backbone.train()
        return frozen(self, *args)

    text = violation(monkeypatch, suite.frozen_modules_stay_as_they_are, terms=broken)
    assert text.startswith("backbone is frozen, but the model puts it in training mode")


@pytest.mark.usefixtures("frozen")
def test_a_player_of_frozen_parameters_is_refused(monkeypatch):
    players = CVAE.players
    owns = lambda self: {**players(self), "more": list(self.backbone.parameters())}  # noqa: E731
    monkeypatch.setattr(CVAE, "players", owns)
    with pytest.raises(BenchError, match=r"requires_grad=False, but belong to a player: backbone"):
        ModelUnderTest.of("cvae", OPTIONS["cvae"]).model()


def switching(code, attribute, values):
    """Switch as CSVAE does: two columns an attribute."""
    relevant = code.relevant.clone()
    relevant[:, 2 * attribute : 2 * attribute + 2] = values[:, None].float()
    return code._replace(relevant=relevant)


def also_the_next(self, code, attribute, values):
    return switching(switching(code, attribute, values), (attribute + 1) % 3, values)


def also_the_rest(self, code, attribute, values):
    return switching(code, attribute, values)._replace(irrelevant=code.irrelevant + 1)


def nothing(self, code, attribute, values):
    return code


def in_place(self, code, attribute, values):
    code.relevant.copy_(switching(code, attribute, values).relevant)
    return code


def relative(self, code, attribute, values):
    relevant = code.relevant.clone()
    relevant[:, 2 * attribute] += 2 * values - 1
    return code._replace(relevant=relevant)


BROKEN_SWITCHES = {
    also_the_next: "'five or more' changes column 2 of the relevant code, which belongs to 'odd'",
    also_the_rest: "switching 'odd' changes the irrelevant code",
    nothing: "switching 'odd' on and off gives the same code",
    in_place: "switching 'odd' wrote into the code it was given",
    relative: "'odd' off and on again is not the same as on",
}


WITH_ATTRIBUTES = ModelUnderTest.of("csvae", OPTIONS["csvae"], {"name": "digit_attributes"})


@pytest.mark.parametrize("broken", BROKEN_SWITCHES, ids=lambda broken: broken.__name__)
def test_a_broken_switch_is_caught(broken, monkeypatch):
    monkeypatch.setattr(registry.load("model", "csvae"), "switch", broken)
    with pytest.raises(Violation, match=BROKEN_SWITCHES[broken]):
        suite.switching_changes_one_attribute(WITH_ATTRIBUTES)


@pytest.mark.parametrize("name", ["csvae", "ccvae"])
def test_switches_are_tried_where_a_model_has_them(name, monkeypatch):
    """The suite reaches them by itself, though its own data has no attributes."""
    monkeypatch.setattr(registry.load("model", name), "switch", nothing)
    monkeypatch.setattr(suite, "CHECKS", {suite.switching_changes_one_attribute: "switch"})
    with pytest.raises(Violation, match="gives the same code"):
        suite.attributes_are_welcome(small(name))
