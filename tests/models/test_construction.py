"""What models are built with: sizes of their codes, and options that are refused."""

import pytest
import torch

from bench import registry
from bench.data.base import DataSpec
from tests.small import CIFAR, FACES, GRAY, MOONS, OPTIONS

MANY = DataSpec("many", (3, 64, 64), ("k",), tuple(map(str, range(18))), ((0,) * 18,))
PQR = (tuple("wxyz"), ("p", "q", "r"), ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1)))
TRAITS = DataSpec("traits", (1, 8, 8), *PQR)
PLANE_TRAITS = DataSpec("plane traits", (2,), *PQR)
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


SIZE = "at least one dimension"


@pytest.mark.parametrize(
    ("name", "spec", "options", "sentence"),
    [
        ("cvae", GRAY, {"latent": 0}, SIZE),
        ("cvae_gan", GRAY, {"latent": 0}, SIZE),
        ("cvae_gan_bao", GRAY, {"latent": 0}, SIZE),
        ("cgan", GRAY, {"latent": 0}, SIZE),
        ("cgan", GRAY, {"critic_steps": 0}, "critic_steps must be at least 1, got 0"),
        ("cgan", MOONS, {"cond_bn": True}, "networks for points have none"),
        ("csvae", GRAY, {"relevant": 0}, SIZE),
        ("csvae", GRAY, {"prior": "both"}, "learned or fixed"),
        ("csvae", TRAITS, {"relevant": 7}, "multiple of the number of attributes, 3, got 7"),
        ("ccvae", GRAY, {"relevant": 7}, "a multiple of 3 classes, got 7; or use head linear"),
        ("ccvae", TRAITS, {"relevant": 7}, "a multiple of 3 attributes, got 7$"),
        (
            "ccvae",
            TRAITS,
            {"head": "linear"},
            "of 3 attributes has a block of its own; use head di",
        ),
        ("ccvae", GRAY, {"irrelevant": 0}, SIZE),
        ("ccvae", GRAY, {"label_samples": 0}, "at least one sample"),
        ("ccvae", GRAY, {"head": "deep"}, "diagonal or linear"),
        ("ccvae", GRAY, {"likelihood": "normal"}, "laplace or squared"),
        ("flow_matching", GRAY, {"width": 0.0}, "width must be positive"),
        ("flow_matching", GRAY, {"label_dropout": 1.0}, r"label_dropout must be in \[0, 1\)"),
        ("flow_matching", DataSpec("odd", (1, 28, 28), ("a",)), {}, "squares of 8, 16, 32, 64 pix"),
        ("lr_livae", GRAY, {"relevant": 0}, SIZE),
        ("lr_livae", GRAY, {"width": -1.0}, "must be positive"),
        ("lr_livae", GRAY, {"backbone": "vgg64"}, "does not fit"),
    ],
    ids=names,
)
def test_wrong_options_are_refused_with_a_sentence(name, spec, options, sentence):
    small = {} if spec is MOONS else OPTIONS[name]
    with pytest.raises(ValueError, match=sentence):
        registry.load("model", name)(spec, **(small | options))
