"""What every source keeps to, and the two forms of an image."""

import inspect
import math
import subprocess
import sys

import pytest
import torch

from bench import registry
from bench.data.base import DataSpec, fingerprint, to_bytes, to_float
from bench.data.blobs import Blobs
from bench.data.digits import DigitAttributes, Digits
from bench.data.moons import Moons
from bench.errors import BenchError

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def test_bytes_survive_the_round_trip():
    assert to_bytes(to_float(LEVELS)).equal(LEVELS)


def test_range_is_minus_one_to_one():
    x = to_float(LEVELS)
    assert (x.min().item(), x.max().item()) == (-1, 1)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("set", ("a", "b", "a"), "set: 2 classes are called 'a'"),
        ("set", ("\u00e9", "e\u0301"), "2 classes are called"),
        ("set", ("a\nb", "c"), r"'a\\nb' is not printable"),
        ("s\u202eet", ("a", "b"), r"'s\\u202eet' is not printable"),
    ],
)
def test_names_are_different_and_printable(name, classes, message):
    with pytest.raises(BenchError, match=message):
        DataSpec(name, (2,), classes)


def image(*values):
    return torch.tensor([[[list(values)]]])


@pytest.mark.parametrize(
    "x",
    [
        image(-50.0, 0.0, 50.0).tanh(),
        image(-200.0, 0.0, 200.0).sigmoid() * 2 - 1,
        image(-1.0, 0.0, 1.0).bfloat16() * (1 + 2**-7),
        image(-1.0, 0.0, 1.0).half() * (1 + 2**-10),
    ],
    ids=["tanh", "sigmoid", "bfloat16", "float16"],
)
def test_saturation_and_rounding_are_within_the_range(x):
    assert to_bytes(x.float()).flatten().tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (image(-1.02, 0.0), r"images range from -1.02 to 0, not in \[-1, 1\]; a tanh ends there"),
        (image(0.0, 255.0), r"range from 0 to 255, .*; x / 127.5 - 1 maps \[0, 255\] there"),
        (image(0.0, math.nan), "images contain values that are not finite"),
        (image(0.0, -math.inf), "images contain values that are not finite"),
        (torch.tensor([[math.nan, 0.0]]), "images contain values that are not finite"),
    ],
)
def test_values_outside_are_refused(x, message):
    with pytest.raises(BenchError, match=message):
        to_bytes(x)


def test_points_pass_unchanged():
    points = torch.tensor([[0.3, -7.0]])
    assert to_bytes(to_float(points)).equal(points)


@pytest.mark.parametrize(
    ("source", "shape", "classes"),
    [
        (Blobs, (1, 8, 8), 3),
        (Digits, (1, 8, 8), 10),
        (DigitAttributes, (1, 8, 8), 6),
        (Moons, (2,), 3),
    ],
)
def test_loaded_data_have_the_shape_that_was_promised_and_follow_from_the_seed(
    source, shape, classes
):
    data = source().load()
    assert data.spec == source().spec
    assert (data.spec.shape, data.spec.classes) == (shape, classes)
    assert data.spec.is_image == (len(shape) == 3)
    assert not data.flip
    for split in (data.train, data.validation, data.test):
        assert split.x.shape[1:] == shape
        assert split.x.dtype == (torch.uint8 if data.spec.is_image else torch.float32)
    assert data.fingerprint == fingerprint(data.train, data.validation, data.test)
    assert data.fingerprint == source().load().fingerprint
    other = source(split_seed=1).load()
    assert other.fingerprint != data.fingerprint
    assert not other.test.x.equal(data.test.x)


def test_the_fingerprint_is_equal_in_another_process():
    code = "from bench.data.digits import Digits; print(Digits().load().fingerprint)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == Digits().load().fingerprint


def test_every_source_takes_annotated_keywords_only():
    for name in registry.BUILT_IN["dataset"]:
        parameters = list(inspect.signature(registry.load("dataset", name)).parameters.values())
        assert {"split_seed", "validation_fraction"} <= {p.name for p in parameters}
        for parameter in parameters:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert parameter.annotation is not inspect.Parameter.empty
            assert parameter.default is not inspect.Parameter.empty or parameter.name == "path"
