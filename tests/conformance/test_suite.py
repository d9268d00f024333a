"""Registering a model is what makes it tested; and the suite itself must be able to fail."""

import pytest
import torch

from bench import registry
from bench.conformance import suite

SMALL = {
    "lr_livae": {"width": 0.25, "relevant": 4, "irrelevant": 4},
    "cvae": {"width": 0.25, "latent": 4},
    "cvae_gan": {"width": 0.25, "latent": 4},
    "cvae_gan_bao": {"width": 0.25, "latent": 4},
    "cgan": {"width": 0.25, "latent": 4},
    "csvae": {"width": 0.25, "relevant": 6, "irrelevant": 4},
    "ccvae": {"width": 0.25, "relevant": 6, "irrelevant": 4},
    "flow_matching": {"width": 0.25, "steps": 2},
}


@pytest.fixture(scope="module", params=list(registry.registered("model")))
def subject(request):
    return suite.make_subject(request.param, SMALL.get(request.param))


@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda check: check.__name__)
def test_registered_models_conform(subject, check):
    check(subject)


@pytest.mark.parametrize("name", list(registry.registered("model")))
def test_points_are_welcome_too(name):
    subject = suite.make_subject(name, data={"name": "moons", "per_class": 50})
    suite.terms_are_scalars(subject)
    suite.samples_are_a_function_of_the_generator(subject)


FORMS = {
    "softmax": {"label_loss": "softmax"},
    "moments": {"sample_from": "moments"},
    "one to one": {"prior_steps": 1},
    "joint": {"joint": True},
    "mixture for rows without label": {"unlabeled_prior": "mixture"},
}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_forms_of_lr_livae_conform(options):
    subject = suite.make_subject("lr_livae", SMALL["lr_livae"] | options)
    suite.terms_are_scalars(subject)
    suite.players_move_only_their_own(subject)
    suite.shared_backwards_give_each_players_gradient(subject)
    suite.samples_are_a_function_of_the_generator(subject)


def test_moments_of_codes_survive_an_interruption():
    subject = suite.make_subject("lr_livae", SMALL["lr_livae"] | FORMS["moments"])
    suite.resume_is_bit_exact(subject)
    suite.terms_trace_as_one_graph(subject)


def test_rows_without_label_that_spoil_a_term_are_caught(monkeypatch):
    monkeypatch.setattr(registry.load("model", "lr_livae"), "_unlabeled_nll", lambda *_: 1 / 0)
    subject = suite.make_subject("lr_livae", SMALL["lr_livae"])
    with pytest.raises(ZeroDivisionError):
        suite.rows_without_label_are_welcome(subject)


def violation(monkeypatch, check, **methods):
    """Break some methods of cVAE and return what the check says."""
    factory = registry.load("model", "cvae")
    for name, method in methods.items():
        monkeypatch.setattr(factory, name, method)
    subject = suite.make_subject("cvae", SMALL["cvae"])
    with pytest.raises(suite.Violation) as caught:
        check(subject)
    return str(caught.value)


@pytest.fixture
def terms():
    return registry.load("model", "cvae").terms


def test_a_term_with_rows_left_is_caught(monkeypatch, terms):
    text = violation(
        monkeypatch,
        suite.terms_are_scalars,
        terms=lambda self, s, b, w: {**terms(self, s, b, w), "kl": torch.zeros(3)},
    )
    assert "'kl' is torch.float32 [3]" in text


def test_randomness_that_depends_on_wanted_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        if len(wanted) > 1:
            torch.rand(1)
        return terms(self, stage, batch, wanted)

    text = violation(monkeypatch, suite.subset_of_terms_has_the_same_values, terms=broken)
    assert "does not depend on `wanted`" in text


def test_a_detached_code_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        values = terms(self, stage, batch, wanted)
        image = self._decode(self.encode(batch.x, batch.y).irrelevant.detach(), batch.y)
        return {**values, "reconstruct": (image - batch.x).square().mean()}

    text = violation(monkeypatch, suite.terms_reach_their_players, terms=broken)
    assert "player 'encoder' descends 'reconstruct'" in text


def test_hidden_state_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        self.calls = getattr(self, "calls", 0) + 1
        values = terms(self, stage, batch, wanted)
        return {**values, "kl": values["kl"] * self.calls}

    text = violation(monkeypatch, suite.resume_is_bit_exact, terms=broken)
    assert "differs after a resumption" in text


def test_a_branch_on_a_value_is_caught(monkeypatch, terms):
    def broken(self, stage, batch, wanted):
        if batch.x.mean().item() > 2:
            raise ValueError
        return terms(self, stage, batch, wanted)

    text = violation(monkeypatch, suite.terms_trace_as_one_graph, terms=broken)
    assert "does not trace" in text


def test_sampling_from_the_default_generator_is_caught(monkeypatch):
    sample = registry.load("model", "cvae").sample
    text = violation(
        monkeypatch,
        suite.sampling_changes_nothing,
        sample=lambda self, y, generator=None: sample(self, y),
    )
    assert "default generator" in text


def test_samples_out_of_range_are_caught(monkeypatch):
    sample = registry.load("model", "cvae").sample
    text = violation(
        monkeypatch,
        suite.samples_are_a_function_of_the_generator,
        sample=lambda self, y, generator=None: 9 * sample(self, y, generator) + 2,
    )
    assert "not in [-1, 1]" in text


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


@pytest.fixture(scope="module")
def with_attributes():
    return suite.make_subject("csvae", SMALL["csvae"], {"name": "digit_attributes"})


@pytest.mark.parametrize("broken", BROKEN_SWITCHES, ids=lambda broken: broken.__name__)
def test_a_broken_switch_is_caught(broken, monkeypatch, with_attributes):
    monkeypatch.setattr(registry.load("model", "csvae"), "switch", broken)
    with pytest.raises(suite.Violation, match=BROKEN_SWITCHES[broken]):
        suite.switching_changes_one_attribute(with_attributes)


@pytest.mark.parametrize("name", ["csvae", "ccvae"])
def test_switches_are_tried_where_a_model_has_them(name, monkeypatch):
    """The suite reaches them by itself, though its own data has no attributes."""
    monkeypatch.setattr(registry.load("model", name), "switch", nothing)
    monkeypatch.setattr(suite, "CHECKS", (suite.switching_changes_one_attribute,))
    with pytest.raises(suite.Violation, match="gives the same code"):
        suite.attributes_are_welcome(suite.make_subject(name, SMALL[name]))
