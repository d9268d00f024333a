"""Registering a model is what makes it tested: the suite and what else holds for every model."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from bench import registry
from bench.conformance import suite
from bench.data.base import DataSpec
from bench.training.interface import Classifies, Encodes
from tests.small import CIFAR, FACES, MOONS, on_points, small

MODELS = list(registry.entries("model"))
FORMS = {
    "softmax": ("lr_livae", {"label_loss": "softmax"}),
    "moments": ("lr_livae", {"sample_from": "moments"}),
    "one to one": ("lr_livae", {"prior_steps": 1}),
    "joint": ("lr_livae", {"joint": True}),
    "unlabeled mixture": ("lr_livae", {"unlabeled_prior": "mixture"}),
    "fixed prior": ("csvae", {"prior": "fixed"}),
    "strong": ("cgan", {"cond_bn": True, "critic_steps": 5}),
    "linear laplace": ("ccvae", {"head": "linear", "likelihood": "laplace"}),
    "guided": ("flow_matching", {"guidance": 3.0, "label_dropout": 0.1}),
}
CASES = {
    **{name: small(name) for name in MODELS},
    **{form: small(name, **options) for form, (name, options) in FORMS.items()},
    **{f"{name} on points": on_points(name) for name in MODELS},
}
LIGHT = [
    suite.players_and_stages_fit,
    suite.terms_are_scalars,
    suite.players_move_only_their_own,
    suite.shared_backwards_give_each_players_gradient,
    suite.samples_are_a_function_of_the_generator,
]
CHECKED = [
    *((case, check) for case in MODELS for check in suite.CHECKS),
    *((case, check) for case in ("strong", "guided") for check in suite.CHECKS),
    *(("linear laplace", c) for c in suite.CHECKS if c is not suite.attributes_are_welcome),
    *(
        (case, check)
        for case in CASES
        if case not in (*MODELS, "strong", "guided", "linear laplace")
        for check in LIGHT
    ),
    ("moments", suite.resume_is_bit_exact),
    ("moments", suite.terms_trace_as_one_graph),
    ("cvae on points", suite.terms_trace_as_one_graph),
    ("lr_livae on points", suite.terms_trace_as_one_graph),
]


@pytest.mark.parametrize(("case", "check"), CHECKED, ids=lambda v: getattr(v, "__name__", v))
def test_models_conform(case, check):
    check(CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_terms_are_the_same_to_the_last_bit_whichever_others_are_wanted(case):
    for stage_pass in CASES[case].passes():
        together = CASES[case].terms(deepcopy(stage_pass))
        for term in stage_pass.wanted:
            alone = CASES[case].terms(deepcopy(stage_pass), frozenset({term}))
            assert torch.equal(alone[term], together[term])


CLOSE = {"lr_livae": (0.05, 0.05), "flow_matching": (0.02, 0.0), "guided": (0.02, 0.0)}
"""Relative and absolute distance of terms in bfloat16; (0.1, 0.02) for the others."""


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_autocast_leaves_terms_in_float32_and_close(case):
    for stage_pass in CASES[case].passes():
        torch.manual_seed(3)
        for parameter in stage_pass.model.parameters():
            if not parameter.any():  # fill what starts at zero, as training would
                nn.init.normal_(parameter, std=0.1)
        exact = CASES[case].terms(deepcopy(stage_pass))
        with torch.autocast("cpu", torch.bfloat16):
            cast = CASES[case].terms(deepcopy(stage_pass))
        relative, absolute = CLOSE.get(case.removesuffix(" on points"), (0.1, 0.02))
        for term, value in exact.items():
            assert cast[term].dtype == torch.float32, term
            expected = pytest.approx(value.item(), rel=relative, abs=absolute)
            assert cast[term].item() == expected, term


@pytest.mark.parametrize("case", CASES)
def test_capabilities_are_what_the_model_can_do(case):
    model = CASES[case].model()
    assert isinstance(model, Encodes) == ("encode" in model.capabilities)
    assert isinstance(model, Classifies) == ("classify" in model.capabilities)


MANY = DataSpec("many", (3, 64, 64), ("k",), tuple(map(str, range(18))), ((0,) * 18,))
TRAITS = DataSpec("traits", (2,), tuple("wx"), ("p", "q", "r"), ((0, 0, 1), (1, 0, 0)))


@pytest.mark.parametrize(
    ("name", "spec", "options", "sizes"),
    [
        ("cvae", CIFAR, {}, (200,)),
        ("cvae", FACES, {}, (512,)),
        ("cvae", MOONS, {}, (2,)),
        ("cvae_gan", FACES, {}, (512,)),
        ("cvae_gan_bao", FACES, {}, (512,)),
        ("cgan", CIFAR, {"cond_bn": True}, (200,)),
        ("cgan", FACES, {"cond_bn": True}, (512,)),
        ("csvae", CIFAR, {}, (100, 200)),
        ("ccvae", CIFAR, {}, (100, 200)),
        ("ccvae", FACES, {}, (530, 512)),
        ("ccvae", MOONS, {}, (3, 2)),
        ("ccvae", MANY, {}, (504, 512)),
        ("ccvae", TRAITS, {}, (3, 2)),
        *(
            ("ccvae", s, {"head": "linear", "relevant": 7}, (7, d))
            for s, d in ((CIFAR, 200), (FACES, 512), (MOONS, 2))
        ),
        ("lr_livae", CIFAR, {}, (100, 200)),
        ("lr_livae", FACES, {}, (512, 512)),
        ("lr_livae", MOONS, {}, (2, 2)),
    ],
    ids=lambda value: getattr(value, "name", value if isinstance(value, str) else ""),
)
def test_models_are_built_on_the_meta_device_with_codes_of_their_published_size(
    name, spec, options, sizes
):
    with torch.device("meta"):
        model = registry.load("model", name)(spec, **options)
    found = (model.latent,) if len(sizes) == 1 else (model.relevant, model.irrelevant)
    assert found == sizes
    assert all(p.is_meta for p in model.parameters())
