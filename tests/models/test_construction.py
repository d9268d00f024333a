"""What models are built with: sizes of their codes, and options that are refused."""

import pytest
import torch

from bench import registry
from bench.data.base import DataSpec
from bench.spec.components import complete_component, complete_sampling
from bench.spec.validation import KeyProblem
from tests.small import CIFAR, FACES, GRAY, MOONS, OPTIONS

MANY = DataSpec("many", (3, 64, 64), ("k",), tuple(map(str, range(18))), ((0,) * 18,))
PQR = (tuple("wxyz"), ("p", "q", "r"), ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1)))
TRAITS = DataSpec("traits", (1, 8, 8), *PQR)
PLANE_TRAITS = DataSpec("plane traits", (2,), *PQR)
MODELS = registry.BUILT_IN["model"]
LINEAR = {"head": "linear", "relevant": 7}


def names(value):
    return getattr(value, "name", str(value))


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
        ("ccvae", PLANE_TRAITS, {}, (3, 2)),
        ("ccvae", CIFAR, LINEAR, (7, 200)),
        ("ccvae", FACES, LINEAR, (7, 512)),
        ("ccvae", MOONS, LINEAR, (7, 2)),
        ("lr_livae", CIFAR, {}, (100, 200)),
        ("lr_livae", FACES, {}, (512, 512)),
        ("lr_livae", MOONS, {}, (2, 2)),
    ],
    ids=names,
)
def test_codes_have_their_published_sizes_on_the_meta_device(name, spec, options, sizes):
    with torch.device("meta"):
        model = registry.load("model", name)(spec, **options)
    found = (model.latent,) if len(sizes) == 1 else (model.relevant, model.irrelevant)
    assert found == sizes
    assert all(p.is_meta for p in model.parameters())


SMALL_CODES = [
    (name, {option: 0}, f"{option}: must be >= 1, got 0")
    for option, names in {
        "latent": ("vae", "cvae", "cvae_info", "cvae_gan", "cvae_gan_bao", "cgan"),
        "relevant": ("csvae", "ccvae", "lr_livae"),
        "irrelevant": ("csvae", "ccvae", "lr_livae"),
    }.items()
    for name in names
]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *SMALL_CODES,
        *((name, {"width": 0}, "width: must be > 0.0, got 0") for name in MODELS),
        ("cgan", {"critic_steps": 0}, "critic_steps: must be >= 1, got 0"),
        ("csvae", {"prior": "both"}, "prior: expected one of 'learned' or 'fixed', got"),
        ("ccvae", {"label_samples": 0}, "label_samples: must be >= 1, got 0"),
        ("ccvae", {"head": "deep"}, "head: expected one of 'diagonal' or 'linear', got"),
        ("ccvae", {"likelihood": "normal"}, "likelihood: expected one of 'laplace' or 'squared'"),
        ("ccvae", {"scales": "wide"}, "scales: expected one of 'log-variance' or 'softplus'"),
        ("flow_matching", {"label_dropout": 1.0}, "label_dropout: must be < 1.0, got 1.0"),
        ("lr_livae", {"backbone": "resnet"}, "backbone: expected one of 'auto', 'mlp', 'conv32'"),
    ],
    ids=names,
)
def test_options_out_of_bounds_are_refused(name, options, message):
    with pytest.raises(KeyProblem) as caught:
        complete_component("model", {"name": name, **options}, ())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cgan", {"truncation": 0}, "truncation: must be > 0.0, got 0"),
        ("flow_matching", {"steps": 0}, "steps: must be >= 1, got 0"),
        ("flow_matching", {"guidance": 0.0}, "guidance: must be > 0.0, got 0.0"),
        ("lr_livae", {"temperature": -1}, "temperature: must be >= 0.0, got -1"),
    ],
    ids=names,
)
def test_options_of_sampling_out_of_bounds_are_refused(name, options, message):
    with pytest.raises(KeyProblem) as caught:
        complete_sampling({"name": name}, options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "spec", "options", "sentence"),
    [
        ("cgan", MOONS, {"cond_bn": True}, "networks for points have none"),
        ("csvae", TRAITS, {"relevant": 7}, "multiple of the number of attributes, 3, got 7"),
        ("ccvae", GRAY, {"relevant": 7}, "a multiple of 3 classes, got 7; or use head linear"),
        ("ccvae", TRAITS, {"relevant": 7}, "a multiple of 3 attributes, got 7$"),
        (
            "ccvae",
            TRAITS,
            {"head": "linear"},
            "of 3 attributes has a block of its own; use head di",
        ),
        ("flow_matching", DataSpec("odd", (1, 28, 28), ("a",)), {}, "squares of 8, 16, 32, 64 pix"),
        ("lr_livae", GRAY, {"backbone": "vgg64"}, "does not fit"),
    ],
    ids=names,
)
def test_options_that_do_not_go_together_are_refused_with_a_sentence(name, spec, options, sentence):
    small = {} if spec is MOONS else OPTIONS[name]
    with pytest.raises(ValueError, match=sentence):
        registry.load("model", name)(spec, **(small | options))
