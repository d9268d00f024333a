"""Small models, data and batches that several folders of tests share."""

from functools import cache

import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.data.base import DataSpec
from bench.training.interface import Batch

OPTIONS = {
    "lr_livae": {"width": 0.25, "relevant": 4, "irrelevant": 4},
    "cvae": {"width": 0.25, "latent": 4},
    "cvae_info": {"width": 0.25, "latent": 4},
    "vae": {"width": 0.25, "latent": 4},
    "cvae_gan": {"width": 0.25, "latent": 4},
    "cvae_gan_bao": {"width": 0.25, "latent": 4},
    "cgan": {"width": 0.25, "latent": 4},
    "csvae": {"width": 0.25, "relevant": 6, "irrelevant": 4},
    "ccvae": {"width": 0.25, "relevant": 6, "irrelevant": 4},
    "flow_matching": {"width": 0.25},
}
WIDTH = {"width": 0.25}
"""The options of a model that is not above: at full width tests would take minutes."""
GRAY = DataSpec("gray", (1, 8, 8), ("a", "b", "c"))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
CIFAR = DataSpec("cifar10", (3, 32, 32), tuple("0123456789"))
FACES = DataSpec("faces", (3, 64, 64), tuple(map(str, range(530))))


@cache
def small(name="cvae", **options):
    """Return a small model for 8x8 images that is not to be changed."""
    return ModelUnderTest.of(name, OPTIONS.get(name, WIDTH) | options)


@cache
def on_points(name, data="moons"):
    """Return a model for points that is not to be changed."""
    return ModelUnderTest.of(name, data={"name": data, "per_class": 50})


@cache
def on_attributes(name, **settings):
    """Return a model for images with three attributes that is not to be changed."""
    options = {"csvae": {"irrelevant": 4}, "ccvae": {"relevant": 6, "irrelevant": 4}}[name]
    return ModelUnderTest.of(
        name, {"width": 0.25, **options}, {"name": "digit_attributes"}, **settings
    )


@cache
def half_labeled(name):
    """Return a model for images half of which have a label that is not to be changed."""
    return small(name).changed(labeled_fraction=0.5)


def make_batch(spec=GRAY, examples=12, labeled=None):
    """Return a batch whose examples from `labeled` on carry no label; none of them where None."""
    torch.manual_seed(1)
    labeled = examples if labeled is None else labeled
    y = torch.arange(examples) % spec.classes
    y[labeled:] = -1
    y = spec.attributes_of(y) if spec.attributes else y
    return Batch(torch.rand(examples, *spec.shape) * 2 - 1, y, labeled)
