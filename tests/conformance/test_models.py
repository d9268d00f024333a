"""Registering a model is what makes it tested: the suite and what else holds for every model."""

from contextlib import suppress
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn

from bench import registry
from bench.conformance import suite
from bench.errors import NotApplicable
from tests.small import half_labeled, on_attributes, on_points, small

MODELS = list(registry.registered("model"))
FORMS = {
    "softmax": ("lr_livae", {"label_loss": "softmax"}),
    "unlabeled mixture": ("lr_livae", {"unlabeled_prior": "mixture"}),
    "fixed prior": ("csvae", {"prior": "fixed"}),
    "strong": ("cgan", {"cond_bn": True, "critic_steps": 5}),
    "linear laplace": ("ccvae", {"head": "linear", "likelihood": "laplace"}),
    "hidden labels": ("flow_matching", {"label_dropout": 0.1}),
}
CASES = {
    **{name: partial(small, name) for name in MODELS},
    **{form: partial(small, name, **options) for form, (name, options) in FORMS.items()},
    **{f"{name} on points": partial(on_points, name) for name in MODELS},
    **{f"{name} in space": partial(on_points, name, "swiss_roll") for name in MODELS},
    "csvae on attributes": partial(on_attributes, "csvae"),
    "ccvae on attributes": partial(on_attributes, "ccvae"),
    "ccvae on half of the attributes": partial(on_attributes, "ccvae", labeled_fraction=0.5),
    "ccvae on half of the labels": partial(half_labeled, "ccvae"),
    "lr_livae on half of the labels": partial(half_labeled, "lr_livae"),
}
ALL = pytest.mark.parametrize("under_test", CASES, indirect=True)
LIGHT = [
    suite.players_move_in_a_stage,
    suite.terms_are_scalars,
    suite.players_move_only_their_own,
    suite.players_get_the_gradients_of_their_own_terms,
    suite.samples_fit_the_data,
    suite.samples_leave_no_trace,
    suite.samples_follow_their_generator,
]
WHOLE = (*MODELS, "strong", "hidden labels", "linear laplace")
"""Cases that go through the whole suite, which itself takes labels away and adds attributes."""
ELSEWHERE = [suite.everything_runs_on_a_gpu, suite.no_stage_waits_for_a_gpu]  # test_fake_cuda.py
CHECKED = [
    *((case, check) for case in WHOLE for check in suite.CHECKS if check not in ELSEWHERE),
    *((case, check) for case in CASES if case not in WHOLE for check in LIGHT),
    ("softmax", suite.resume_is_exact),
    ("softmax", suite.finishing_repeats_itself),
    ("cvae on points", suite.stages_compile_as_one_graph),
    ("lr_livae on points", suite.stages_compile_as_one_graph),
]
CHECKED.remove(("linear laplace", suite.attributes_are_welcome))  # as for ccvae itself
TRACED = ("cvae",)
"""Cases that are traced in the fast tests; tracing takes seconds, and is about speed alone."""


@pytest.fixture
def under_test(request):
    return CASES[request.param]()


@pytest.mark.parametrize(
    ("under_test", "check"),
    [
        pytest.param(case, check, marks=pytest.mark.slow if is_slow else ())
        for case, check in CHECKED
        for is_slow in [check is suite.stages_compile_as_one_graph and case not in TRACED]
    ],
    indirect=["under_test"],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_models_conform(under_test, check):
    with suppress(NotApplicable):
        check(under_test)


@ALL
def test_players_are_those_of_stages_and_objective(under_test):
    model = under_test.model()
    players = model.players()
    assert sorted(p for stage in model.stages for p in stage.players) == sorted(players)
    frozen = {"prior"} if under_test.training.model.get("prior") == "fixed" else set()
    assert model.objective.keys() == players.keys() - frozen
    owned = [id(p) for parameters in players.values() for p in parameters]
    shared = under_test.training.model["name"] == "lr_livae"
    assert (len(owned) == len(list(model.parameters()))) is not shared


@ALL
def test_terms_are_the_same_to_the_last_bit_whichever_others_are_wanted(under_test):
    for stage_pass in under_test.passes():
        together = under_test.terms(deepcopy(stage_pass))
        for term in stage_pass.wanted:
            alone = under_test.terms(deepcopy(stage_pass), frozenset({term}))
            assert torch.equal(alone[term], together[term])


def awake(model):
    """Fill parameters and averages that start at zero, as training would."""
    torch.manual_seed(3)
    for value in (*model.parameters(), *model.buffers()):
        if value.is_floating_point() and not value.any():
            nn.init.normal_(value, std=0.1)
    return model


CLOSE = {"lr_livae": (0.05, 0.05), "flow_matching": (0.02, 0.0)}
"""Relative and absolute distance of terms in bfloat16; (0.1, 0.02) for the others."""


@ALL
def test_bfloat16_autocast_leaves_terms_in_float32_and_close(under_test):
    relative, absolute = CLOSE.get(under_test.training.model["name"], (0.1, 0.02))
    for stage_pass in under_test.passes():
        awake(stage_pass.model)
        exact = under_test.terms(deepcopy(stage_pass))
        with torch.autocast("cpu", torch.bfloat16):
            cast = under_test.terms(deepcopy(stage_pass))
        for term, value in exact.items():
            assert cast[term].dtype == torch.float32, term
            expected = pytest.approx(value.item(), rel=relative, abs=absolute)
            assert cast[term].item() == expected, term


@ALL
def test_samples_depend_on_the_label(under_test):
    model, y = awake(under_test.model()).eval(), under_test.labels()
    with torch.inference_mode():
        first, moved = (
            model.sample(labels, torch.Generator().manual_seed(5)) for labels in (y, y.roll(2, 0))
        )
    assert ((first - moved).flatten(1).abs().amax(dim=1) > 1e-3).all()
