"""What holds for every metric of the registry; a new one fails here until it has its rows."""

import ast
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench import registry
from bench.data.base import Split
from bench.metrics import (
    arc_fit,
    base,
    codes,
    density_coverage,
    inpainting,
    ms_ssim,
    native_ms_ssim,
    precision_recall,
    prior_fit,
    reconstruction,
    within_class_variance,
)
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors import classifier, domain, feature_cache
from bench.training.interface import Code, Posterior
from tests.metrics.bars import CPU, OPTIONS, Bars, judged, make_data, metric_of

NAMES = tuple(registry.TABLES["metric"])
each_metric = pytest.mark.parametrize("name", NAMES)

ANALYTIC = {
    "inception_score": "test_two_kinds_of_images_by_hand",
    "intra_class_diversity": "test_flat_images_differ_by_their_luminance_alone",
    "intra_class_diversity_native": "test_flat_images_differ_by_their_luminance_alone",
    "within_class_variance": "test_pixels_are_those_of_the_formula",
    "class_accuracy": "test_a_quarter_wrong_is_a_quarter_less",
    "classification_accuracy_score": "test_samples_that_do_not_tell_the_classes_apart_teach_chance",
    "fid": "test_gaussians_with_known_moments",
    "kid": "test_a_shift_is_the_difference_of_kernel_means",
    "precision_recall": "test_copies_cover_what_they_copy_and_nothing_else",
    "density_coverage": "test_copies_cover_what_they_copy_and_nothing_else",
    "attribute_accuracy": "test_one_wrong_attribute_of_three_is_a_third",
    "prior_fit": "test_distance_is_one_where_codes_have_the_moments_of_the_prior",
    "leakage": "test_codes_that_are_the_label_are_always_read_and_equal_codes_at_chance",
    "swap": "test_a_perfect_model_takes_the_class_from_a_and_keeps_the_rest_of_b",
    "attribute_switch": "test_a_perfect_model_turns_one_attribute_and_leaves_the_others",
    "reconstruction": "test_errors_are_those_of_pixels_between_0_and_1",
    "inpainting": "test_only_the_region_counts_and_only_the_rest_is_seen",
    "arc_fit": "test_arcs_of_half_the_width_have_half_the_spread",
}
"""The test of each metric whose answer is known by head, with its file below."""

FILES = {
    "intra_class_diversity": "ms_ssim",
    "intra_class_diversity_native": "native_ms_ssim",
    "precision_recall": "neighbors",
    "density_coverage": "neighbors",
    "inpainting": "reconstruction",
}

SMALL_BATCHES = (
    (domain, "JUDGED_AT_ONCE", 7),
    (feature_cache, "JUDGED_AT_ONCE", 7),
    (feature_cache, "PART", 21),
    (codes, "BATCH", 7),
    (inpainting, "BATCH", 7),
    (reconstruction, "BATCH", 7),
    (prior_fit, "BATCH", 7),
    (arc_fit, "_BLOCK", 100),
    (density_coverage, "_BLOCK", 100),
    (precision_recall, "EXACT_BLOCK", 4),
    (within_class_variance, "_BLOCK", 7),
    (native_ms_ssim, "_CHUNK", 1),
    (ms_ssim, "_CHUNK_BYTES", {"cpu": 2**17}),
)


class Confused(Bars):
    """All that an image shows is in its irrelevant code."""

    def encode(self, x, y=None):
        return Code(torch.zeros(len(x), 2), x.flatten(1) + 0.2)

    def switch(self, code, attribute, values):
        return code


class Inflated(Bars):
    """Codes that lie four times as far from their prior's means."""

    def posterior(self, x, y=None):
        found = super().posterior(x)
        mean, variance = found.relevant
        return Posterior((mean + 4 * variance.sqrt(), variance), found.irrelevant)


def noise(data):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, data.test.x.shape, generator=generator, dtype=torch.uint8)


def copies(data):
    """Return the first image of each class, again and again."""
    first = (data.test.y[:, None] == data.test.y).int().argmax(dim=1)
    return data.test.x[first]


WORSE = {
    "inception_score": noise,
    "intra_class_diversity": copies,
    "intra_class_diversity_native": copies,
    "within_class_variance": copies,
    "class_accuracy": noise,
    "classification_accuracy_score": noise,
    "fid": noise,
    "kid": noise,
    "precision_recall": noise,
    "density_coverage": noise,
    "attribute_accuracy": noise,
    "prior_fit": Inflated,
    "leakage": Confused,
    "swap": Confused,
    "attribute_switch": Confused,
    "reconstruction": lambda shape: Bars(wrong=0.3, shape=shape),
    "inpainting": lambda shape: Bars(wrong=0.3, shape=shape),
    "arc_fit": lambda data: 0.5 * data.test.x,
}
"""What must make the first figure of a metric worse: other samples, or for codes another model."""

OF_MODELS = ("prior_fit", "leakage", "swap", "attribute_switch", "reconstruction", "inpainting")


@pytest.fixture(scope="module")
def bars():
    return make_data()


@pytest.fixture
def world(bars, moons, alexnet, tmp_path):
    """Return a function that measures samples, by default further draws of the real examples."""
    further = make_data(seed=5).test

    def measure(name, *, x=None, model=None, order=None):
        data, split = (moons, moons.train) if name == "arc_fit" else (bars, further)
        split = split if x is None else Split(x, data.test.y)
        if order is not None:
            split, test = (shuffle(part, order) for part in (split, data.test))
            data = replace(data, test=test)
        samples = SampleSet(split.x, split.y, data.spec)
        if name == "arc_fit":
            return registry.load("metric", name)().measure(samples, Context(data, CPU, tmp_path))
        context = judged(data, tmp_path, model=model)
        context.weights["lpips"] = alexnet
        return metric_of(name).measure(samples, context)

    return measure


def shuffle(split, seed):
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return Split(split.x[order], split.y[order])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 1)
    monkeypatch.setattr(classifier, "EPOCHS", 0)


def test_every_metric_has_all_its_rows():
    for table in (ANALYTIC, WORSE, OPTIONS | {"arc_fit": {}}):
        assert set(table) == set(NAMES)


@each_metric
def test_there_is_a_case_whose_answer_is_known(name):
    path = Path(__file__).with_name(f"test_{FILES.get(name, name)}.py")
    functions = (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef))
    assert ANALYTIC[name] in {function.name for function in functions}


@each_metric
def test_the_order_of_samples_and_of_real_images_changes_nothing(name, world):
    first, second = world(name), world(name, order=2)
    assert None not in [one.value for one in first]
    assert [one.protocol for one in second] == [one.protocol for one in first]
    values = [one.value for one in first]
    assert [one.value for one in second] == pytest.approx(values, rel=1e-7, abs=1e-12)


@each_metric
def test_the_size_of_batches_changes_nothing(name, world, monkeypatch):
    first = world(name)
    for module, constant, value in SMALL_BATCHES:
        monkeypatch.setattr(module, constant, value)
    second = world(name)
    values = [one.value for one in first]
    assert [one.value for one in second] == pytest.approx(values, rel=1e-5, abs=1e-9)


def test_no_constant_that_cuts_work_into_parts_is_forgotten():
    named = {(module.__name__, constant) for module, constant, _ in SMALL_BATCHES}
    exempt = {
        ("bench.metrics.extractors.inception", "JUDGED_AT_ONCE"),  # tests of its own
        ("bench.metrics.extractors.network_file", "JUDGED_AT_ONCE"),
        ("bench.metrics.ms_ssim", "_BLOCK"),  # the width of a matrix
        ("bench.metrics.extractors.classifier", "BATCH"),  # what a classifier learns from at a time
    }
    found = set()
    metrics = Path(base.__file__).parent
    for path in metrics.rglob("*.py"):
        module = ".".join(path.relative_to(metrics).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            for target in getattr(node, "targets", ()):
                called = getattr(target, "id", "")
                if any(word in called for word in ("BATCH", "BLOCK", "CHUNK", "AT_ONCE")):
                    found.add((f"bench.metrics.{module}", called))
    assert found - exempt <= named


@each_metric
def test_it_gets_worse_where_it_must(name, world, bars, moons, monkeypatch):
    if name == "classification_accuracy_score":
        monkeypatch.setattr(classifier, "STEPS", 60)
    good = world(name)[0].value
    if name in OF_MODELS:
        bad = world(name, model=WORSE[name](shape=bars.spec.shape))[0].value
    else:
        data = moons if name == "arc_fit" else bars
        real = world(name, x=data.test.x)[0].value
        bad = world(name, x=WORSE[name](data))[0].value
    direction = registry.load("metric", name).direction
    if direction in ("real", "one"):
        aim = real if direction == "real" else 1
        assert 4 * abs(good - aim) < abs(bad - aim)
    else:
        assert bad > good + 0.1 * abs(good) if direction == "lower" else bad < 0.9 * good


@each_metric
def test_it_is_the_same_again_and_leaves_the_random_state_alone(name, world):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert world(name) == world(name)
    assert torch.equal(state, torch.get_rng_state())


@each_metric
def test_every_figure_has_a_protocol_and_is_finite(name, world):
    for one in world(name):
        assert one.protocol
        assert math.isfinite(one.value)
