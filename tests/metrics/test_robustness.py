"""What every metric of images does with extreme images.

Each gives the right number, or says why there is none: never a NaN, and never a 1 by accident.
The classifier and the model are those of `bars.py`.
"""

import math
from dataclasses import replace

import pytest
import torch

from bench.data.base import DataSpec, Split
from bench.errors import BenchError
from bench.metrics.base import SampleSet
from tests.metrics.bars import (
    OF_MODELS,
    OPTIONS,
    Bars,
    context_of,
    fields,
    first_of_each,
    level_logits,
    make_data,
    metric_of,
    samples_of,
)

BY_LOGITS = ("inception_score", "class_accuracy", "attribute_accuracy")
BY_FEATURES = (
    *("fid", "kid", "cmmd", "precision_recall", "density_coverage"),
    *("within_class_variance", "memorization"),
)


def measure(name, samples, context, **options):
    found = metric_of(name, **options).measure(samples, context)
    for one in found:
        assert one.protocol or one.value is None, "it would fit any column"
        assert (one.value is None) == bool(one.reason)
        assert one.value is None or math.isfinite(one.value)
        assert one.error is None or (math.isfinite(one.error) and one.value is not None)
    return [one for one in found if one.metric != "reconstruction_lpips"]  # its weights are absent


def values(name, samples, context, **options):
    return [one.value for one in measure(name, samples, context, **options)]


@pytest.fixture(autouse=True)
def one_step(short_training):
    short_training(1)


@pytest.fixture
def context(bars, tmp_path):
    return context_of(bars, tmp_path)


@pytest.mark.parametrize("scale", [1e3, 1e30])
@pytest.mark.parametrize("seen", [[0, 1, 2], [0, 1, 1]], ids=["all classes", "one never seen"])
def test_saturated_logits(bars, tmp_path, scale, seen):
    def logits(x):
        return scale * torch.eye(3)[torch.tensor(seen)[level_logits(x).argmax(1)]]

    context = context_of(bars, tmp_path, logits=logits)
    kinds = torch.bincount(torch.tensor(seen)) / 3
    expected = math.exp(-sum(p * math.log(p) for p in kinds[kinds > 0].tolist()))
    (score,) = values("inception_score", samples_of(bars), context)
    assert score == pytest.approx(expected, rel=1e-6)
    right = 100 * sum(a == b for a, b in enumerate(seen)) / 3
    assert values("class_accuracy", samples_of(bars), context) == pytest.approx([right])


def test_fewer_samples_than_splits(bars, context):
    (found,) = measure("inception_score", samples_of(bars), context, splits=91)
    assert (found.value, found.reason) == (None, "90 samples are too few for 91 splits")


FEW = {
    "inception_score": ["", 3],
    "class_accuracy": ["", 100],
    "fid": ["3 samples are too few for 9 features", "1 samples a class are too few for 9 features"],
    "kid": ["", "one image a class makes no pair: 2 are needed"],
    "cmmd": ["", ""],
    "precision_recall": ["3 images have no neighbor number 3"] * 2,
    "density_coverage": ["3 images have no neighbor number 5"] * 2,
    "memorization": [""],
    "intra_class_diversity": ["one image a class makes no pair"],
    "intra_class_diversity_native": ["one image a class makes no pair"],
    "attribute_diversity": ["", "", "1 images with bright make no pair"],
    "within_class_variance": ["one image a class has no variance"] * 2,
    "classification_accuracy_score": [""],
    "attribute_accuracy": ["", 100],
    "attribute_switch": [""] * 7,
    "classification_accuracy": ["", 100],
    "leakage": ["a class has 1 test images, fewer than 5 folds; use fit: train"] * 3,
    "prior_fit": [""] * 4,
    "rate": [""] * 3,
    "reconstruction": [""] * 3,
    "inpainting": [""] * 6,
    "swap": [""] * 3,
}
"""What one image a class has: the reason of each measurement, empty for a value; or the value."""

ANYTHING, FAR, HALF = "anything", "far from the real images", "at most half right"
COVERS_FEW = "one point covers few of the real images"
CONSTANT = {
    "leakage": 100 / 3,  # chance
    "inception_score": 1,
    "class_accuracy": 100 / 3,
    "intra_class_diversity": 0,
    "attribute_diversity": 0,
    "intra_class_diversity_native": 0,
    "within_class_variance": 0,
    "classification_accuracy_score": HALF,  # nothing was to be learned
    "reconstruction": [0, 58.92, 1],
    **dict.fromkeys(("precision_recall", "density_coverage"), COVERS_FEW),
    **dict.fromkeys(("fid", "kid"), FAR),
    "cmmd": ANYTHING,  # by directions of features, which constant images share
    **dict.fromkeys(("attribute_accuracy", "attribute_switch", "memorization"), ANYTHING),
    **dict.fromkeys(("classification_accuracy", "prior_fit", "rate"), ANYTHING),
    **dict.fromkeys(("inpainting", "swap"), ANYTHING),
}
"""What constant images have: a number, that of all measurements or one of each, or words."""

# A metric that is in one table alone fails `test_every_metric_has_all_its_entries`.
each_metric = pytest.mark.parametrize("name", [n for n in OPTIONS if n in FEW and n in CONSTANT])


@each_metric
def test_one_image_a_class(name, bars, context):
    few = first_of_each(samples_of(bars), 1)
    if name in OF_MODELS:
        context.data = replace(bars, test=Split(few.x, few.y))
    found = measure(name, few, context)
    expected = FEW[name]
    if isinstance(expected[-1], int):
        assert found[0].value == pytest.approx(expected[1], rel=1e-3)
    else:
        for one, reason in zip(found, expected, strict=True):
            assert one.reason.startswith(reason)
            assert bool(one.reason) == bool(reason)


@each_metric
@pytest.mark.parametrize("level", [0, 120, 255])
def test_constant_images(name, bars, context, level):
    flat = torch.full_like(bars.test.x, level)
    if name in OF_MODELS:
        context.data = replace(bars, test=Split(flat, bars.test.y))
    found = values(name, samples_of(bars, flat), context)
    if name == "swap":
        assert found[2] is None, "there is nothing to keep"
        found = found[:2]
    assert None not in found
    expected = CONSTANT[name]
    if expected == FAR:
        assert all(value > 1 for value in found)
    elif expected == HALF:
        assert 0 <= found[0] <= 50
    elif expected == COVERS_FEW:
        assert found[1] < 0.5
    elif expected != ANYTHING:
        each = expected if isinstance(expected, list) else [expected] * len(found)
        # Draws of equal codes differ: a probe guesses.
        slack = {"leakage": 15, "reconstruction": 0.01}.get(name, 1e-6)
        assert found == pytest.approx(each, abs=slack)


@each_metric
def test_constant_images_are_like_themselves(name, bars, tmp_path):
    flat = Split(torch.full_like(bars.test.x, 120), bars.test.y)
    data = replace(bars, train=flat, validation=flat)
    found = values(name, samples_of(data, flat.x), context_of(data, tmp_path))
    if name in ("fid", "kid", "cmmd"):
        assert found == pytest.approx([0, 0], abs=1e-6)
    elif name == "precision_recall":
        assert found == [1, 1]


@each_metric
@pytest.mark.parametrize(
    "shape",
    [(1, 8, 8), (3, 8, 8), (1, 64, 64), (3, 64, 64), (1, 20, 28)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_gray_and_color_small_large_and_oblong(name, shape, tmp_path):
    data = make_data(shape)
    found = values(name, samples_of(data), context_of(data, tmp_path))
    assert None not in found


@pytest.mark.parametrize("name", BY_LOGITS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_an_error(name, value, bars, tmp_path):
    def logits(x):
        found = level_logits(x)
        found[-1, 0] = value
        return found

    with pytest.raises(BenchError, match=r"stub@0 gave logits that are not finite"):
        measure(name, samples_of(bars), context_of(bars, tmp_path, logits=logits))


@pytest.mark.parametrize("name", BY_FEATURES)
def test_features_that_are_not_finite_are_an_error(name, bars, tmp_path):
    context = context_of(bars, tmp_path, features=lambda x: fields(x) / 0)
    options = {"extractor": "domain"} if name == "memorization" else {}
    with pytest.raises(BenchError, match=r"stub@0 gave features that are not finite"):
        measure(name, samples_of(bars), context, **options)


@pytest.mark.parametrize("name", OF_MODELS)
@pytest.mark.parametrize("part", ["codes", "images"])
def test_a_model_that_breaks_is_an_error(name, part, bars, tmp_path):
    class Broken(Bars):
        def encode(self, x, y=None):
            code = super().encode(x)
            return code if part == "images" else code._replace(relevant=code.relevant / 0)

        def decode(self, code, y=None):
            return super().decode(code) * math.nan

        def class_logits(self, x):
            return super().class_logits(x) * (1 if part == "images" else math.nan)

    context = context_of(bars, tmp_path, model=Broken())
    if part == "images" and name in ("leakage", "prior_fit", "rate", "classification_accuracy"):
        assert None not in values(name, samples_of(bars), context), "nothing is decoded"
        return
    message = (
        "decoded from real codes contain values"
        if part == "images"
        else "values that are not finite"
    )
    with pytest.raises(BenchError, match=message):
        measure(name, samples_of(bars), context)


NAN = torch.full((90, 1, 8, 8), math.nan)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (NAN, None, r"must be torch.uint8 \[N, 1, 8, 8\], got torch.float32 \[90, 1, 8, 8\]"),
        (torch.zeros(90, 1, 8, 8), None, "must be torch.uint8"),
        (torch.zeros(90, 8, 8, dtype=torch.uint8), None, r"got torch.uint8 \[90, 8, 8\]"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.arange(0), "at least one sample, got 0"),
        (None, torch.zeros(89, dtype=torch.int64), r"must be torch.int64 \[90\], got .* \[89\]"),
        (None, torch.full((90,), 3), r"must lie in \[0, 3\), got labels from 3 to 3"),
        (None, torch.full((90,), -1), r"got labels from -1 to -1"),
    ],
    ids=["nan", "float", "no channels", "none", "labels missing", "label high", "label low"],
)
def test_what_is_no_sample_set_cannot_be_made(bars, x, y, message):
    with pytest.raises(BenchError, match=message):
        SampleSet(bars.test.x if x is None else x, bars.test.y if y is None else y, bars.spec)


def test_points_that_are_not_finite_are_no_sample_set():
    spec = DataSpec("moons", (2,), ("a", "b"))
    with pytest.raises(BenchError, match="samples of moons contain values that are not finite"):
        SampleSet(torch.full((2, 2), math.nan), torch.arange(2), spec)
