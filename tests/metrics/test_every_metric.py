"""What holds for every metric of the registry; a new one fails here until it has its entries."""

import ast
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench import registry
from bench.data.base import Split
from bench.errors import BenchError, NotApplicable
from bench.evaluation.measuring import measure
from bench.metrics import (
    base,
    classification_accuracy,
    encoder_decoder,
    inpainting,
    ms_ssim,
    ms_ssim_native,
    prior_fit,
    reconstruction,
    within_class_variance,
)
from bench.metrics.base import Context, Measurement, Metric, SampleSet
from bench.metrics.extractors import base as extractors
from bench.metrics.extractors import feature_cache
from bench.metrics.extractors.lpips import perceptual_distance
from bench.metrics.features import distances
from bench.record.quantities import Quantity
from bench.spec.components import complete_component
from bench.spec.validation import KeyProblem
from bench.training.interface import Code, Posterior
from tests.metrics.bars import (
    CPU,
    OF_MODELS,
    OPTIONS,
    Bars,
    context_of,
    make_data,
    metric_of,
    shuffled,
)
from tests.metrics.test_robustness import CONSTANT, FEW

NAMES = tuple(registry.BUILT_IN["metric"])
OF_POINTS = {"arc_fit": "bars has no arcs", "point_fit": "bars are not points"}
"""Metrics of points, with what they say to images."""

KNOWN_ANSWER = {
    "inception_score": "test_two_kinds_of_images_by_hand",
    "intra_class_diversity": "test_flat_images_differ_by_their_luminance_alone",
    "intra_class_diversity_native": "test_flat_images_differ_by_their_luminance_alone",
    "attribute_diversity": "test_other_attributes_are_free",
    "within_class_variance": "test_pixels_are_those_of_the_formula",
    "class_accuracy": "test_a_quarter_wrong_is_a_quarter_less",
    "classification_accuracy_score": "test_samples_that_do_not_tell_the_classes_apart_teach_chance",
    "fid": "test_gaussians_with_known_moments",
    "cmmd": "test_two_points_at_a_right_angle",
    "kid": "test_a_shift_is_the_difference_of_kernel_means",
    "precision_recall": "test_copies_cover_what_they_copy_and_nothing_else",
    "density_coverage": "test_copies_cover_what_they_copy_and_nothing_else",
    "memorization": "test_copies_are_memorized_and_what_is_new_is_not",
    "attribute_accuracy": "test_one_wrong_attribute_of_three_is_a_third",
    "prior_fit": "test_distance_is_one_where_codes_have_the_moments_of_the_prior",
    "rate": "test_the_rate_counts_both_codes",
    "leakage": "test_codes_that_are_the_label_are_always_read_and_equal_codes_at_chance",
    "swap": "test_a_perfect_model_takes_the_class_from_a_and_keeps_the_rest_of_b",
    "attribute_switch": "test_a_perfect_model_turns_one_attribute_and_leaves_the_others",
    "classification_accuracy": "test_a_quarter_wrong_is_a_quarter_less",
    "reconstruction": "test_errors_are_those_of_pixels_between_0_and_1",
    "inpainting": "test_only_the_region_counts_and_only_the_rest_is_seen",
    "arc_fit": "test_arcs_of_half_the_width_have_half_the_spread",
    "point_fit": "test_on_a_grid_the_radius_is_two_spacings",
}
"""The test of each metric whose answer is known by head, with its file below."""

FILES = {
    "rate": "prior_fit",
    "intra_class_diversity": "ms_ssim",
    "attribute_diversity": "intra_class_diversity",
    "intra_class_diversity_native": "ms_ssim_native",
    "density_coverage": "precision_recall",
    "inpainting": "reconstruction",
}

SMALL_BATCHES = (
    (extractors, "IMAGES_PER_PASS", 7),
    (feature_cache, "PART", 21),
    (encoder_decoder, "BATCH", 7),
    (classification_accuracy, "BATCH", 7),
    (inpainting, "BATCH", 7),
    (reconstruction, "BATCH", 7),
    (prior_fit, "BATCH", 7),
    (distances, "BLOCK", 100),
    (within_class_variance, "BLOCK", 7),
    (ms_ssim_native, "CHUNK", 1),
    (ms_ssim, "CHUNK_BYTES", {"cpu": 2**17}),
)


class Confused(Bars):
    """All that an image shows is in its irrelevant code."""

    def encode(self, x, y=None):
        return Code(torch.zeros(len(x), 2), x.flatten(1) + 0.2)

    def switch(self, code, attribute, values):
        return code

    def class_logits(self, x):
        return torch.zeros(len(x), 3)


class Inflated(Bars):
    """Codes that lie four times as far from their prior's means."""

    def posterior(self, x, y=None):
        relevant, irrelevant = super().posterior(x)
        mean, variance = relevant
        return Posterior((mean + 4 * variance.sqrt(), variance), irrelevant)


def noise(data):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, data.test.x.shape, generator=generator, dtype=torch.uint8)


def copies(data):
    """Return the first image of each class, again and again."""
    first = (data.test.y[:, None] == data.test.y).int().argmax(dim=1)
    return data.test.x[first]


def near_training(data):
    """Return training images with one pixel changed."""
    x = data.train.x.clone()
    x[:, :, 0, 0] ^= 1
    return x


WORSE = {
    "inception_score": noise,
    "intra_class_diversity": copies,
    "intra_class_diversity_native": copies,
    "attribute_diversity": copies,
    "within_class_variance": copies,
    "class_accuracy": noise,
    "classification_accuracy_score": noise,
    "fid": noise,
    "kid": noise,
    "cmmd": noise,
    "precision_recall": noise,
    "density_coverage": noise,
    "memorization": near_training,
    "attribute_accuracy": noise,
    "prior_fit": Inflated,
    "rate": Inflated,
    "leakage": Confused,
    "swap": Confused,
    "attribute_switch": Confused,
    "classification_accuracy": Confused,
    "reconstruction": lambda: Bars(wrong=0.3),
    "inpainting": lambda: Bars(wrong=0.3),
    "arc_fit": lambda data: 0.5 * data.test.x,
    "point_fit": lambda data: 0.5 * data.test.x,
}
"""What must make the first measurement worse: other samples, or for some metrics another model."""

ROUNDED = (
    *("inception_score", "intra_class_diversity", "attribute_diversity", "prior_fit"),
    *OF_POINTS,
)
"""Metrics whose sums are taken in the order of the samples or of the real examples."""


TABLES = {
    "bars.OPTIONS": {*OPTIONS, *OF_POINTS},
    "test_every_metric.KNOWN_ANSWER": {*KNOWN_ANSWER},
    "test_every_metric.WORSE": {*WORSE},
    "test_robustness.FEW": {*FEW, *OF_POINTS},
    "test_robustness.CONSTANT": {*CONSTANT, *OF_POINTS},
}
"""The tables in which every metric has an entry; those of images where it is one of points."""

# One that lacks an entry fails `test_every_metric_has_all_its_entries`, which names the tables.
each_metric = pytest.mark.parametrize(
    "name", [n for n in NAMES if all(n in entries for entries in TABLES.values())]
)


@pytest.fixture(scope="module")
def lpips(bars, alexnet, tmp_path_factory):
    context = Context(bars, CPU, tmp_path_factory.mktemp("lpips"), weights={"lpips": alexnet})
    return perceptual_distance(context)


@pytest.fixture(scope="module")
def known():
    """What `world` measured by default, by name of the metric."""
    return {}


@pytest.fixture
def world(bars, moons, lpips, known, tmp_path):
    """Return a function that measures samples, by default further draws of the real examples."""
    further = make_data(seed=5).test

    def measure(name, *, fresh=False, x=None, model=None, order=None):
        if not fresh and x is model is order is None:
            known[name] = known.get(name) or measure(name, fresh=True)
            return known[name]
        data, split = (moons, moons.train) if name in OF_POINTS else (bars, further)
        split = split if x is None else Split(x, data.test.y)
        if order is not None:
            split, test = (shuffled(part, order) for part in (split, data.test))
            data = replace(data, test=test)
        samples = SampleSet(split.x, split.y, data.spec)
        if name in OF_POINTS:
            return registry.load("metric", name)().measure(samples, Context(data, CPU, tmp_path))
        context = context_of(data, tmp_path, model=model)
        context.weights["lpips"] = tmp_path
        context.memory["lpips"] = lpips
        return metric_of(name).measure(samples, context)

    return measure


@pytest.fixture(autouse=True)
def ten_steps(short_training):
    short_training(10)


def test_every_metric_has_all_its_entries():
    lacking = {
        name: [table for table, entries in TABLES.items() if name not in entries]
        for name in {*NAMES}.union(*TABLES.values())
    }
    needed = [f"{name}: {', '.join(tables)}" for name, tables in lacking.items() if tables]
    assert not needed, "these metrics need entries in these tables of tests/metrics"
    unknown = set().union(*TABLES.values()) - {*NAMES}
    assert not unknown, "these entries are of no metric"


@each_metric
def test_there_is_a_case_whose_answer_is_known(name):
    path = Path(__file__).with_name(f"test_{FILES.get(name, name)}.py")
    assert path.exists(), f"{path.name} is missing; name another file in FILES"
    functions = (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef))
    assert KNOWN_ANSWER[name] in {function.name for function in functions}


@each_metric
def test_quantities_are_those_that_are_measured(name, world):
    quantities = registry.load("metric", name).quantities
    assert {one.metric.split("/")[0] for one in world(name)} == set(quantities)
    for quantity in quantities.values():
        assert quantity.title[0].isupper()
        assert quantity.decimals is not None


def test_a_metric_of_another_package_needs_a_name_and_quantities_only(bars, tmp_path):
    class Darkness(Metric):
        name = "darkness"
        quantities = {"darkness": Quantity("Darkness", "lower")}

        def measure(self, samples, context):
            return [Measurement(self.name, "mean", 255 - samples.x.double().mean().item())]

    (found,) = Darkness().measure(shuffled(bars_samples(bars)), context_of(bars, tmp_path))
    assert found.metric in Darkness.quantities


@pytest.mark.parametrize(
    ("quantities", "message"),
    [
        (None, "Dark must declare `quantities`"),
        ({}, "Dark must declare `quantities`"),
        (["dark"], "Dark must declare `quantities`"),
        ({"dark": "Darkness"}, r"Dark.quantities\['dark'\] must be a Quantity"),
    ],
)
def test_a_metric_without_quantities_is_refused_as_it_is_imported(quantities, message):
    with pytest.raises(BenchError, match=message):
        type("Dark", (Metric,), {"name": "dark"} | ({"quantities": quantities}))


def test_a_measurement_that_is_not_declared_is_refused(bars, tmp_path):
    class Darkness(Metric):
        name = "darkness"
        quantities = {"darkness": Quantity("Darkness", "lower")}

        def measure(self, samples, context):
            return [Measurement("dark", "mean", 1.0)]

    with pytest.raises(BenchError, match="'dark', which is not among its quantities: darkness"):
        measure([Darkness()], bars_samples(bars), context_of(bars, tmp_path), step=0, split="real")


def bars_samples(data):
    return SampleSet(data.test.x, data.test.y, data.spec)


@each_metric
def test_the_order_of_samples_and_of_real_images_changes_nothing(name, world):
    first, second = world(name), world(name, order=2)
    assert None not in [one.value for one in first]
    assert [one.protocol for one in second] == [one.protocol for one in first]
    numbers, again = (
        [n for m in found for n in (m.value, m.error or 0)] for found in (first, second)
    )
    if name in ROUNDED:
        assert again == pytest.approx(numbers, rel=1e-7, abs=1e-12)
    else:
        assert again == numbers, "not a bit"


@each_metric
def test_the_size_of_batches_changes_nothing(name, world, monkeypatch):
    first = world(name)
    for module, constant, value in SMALL_BATCHES:
        monkeypatch.setattr(module, constant, value)
    second = world(name, fresh=True)
    values = [one.value for one in first]
    assert [one.value for one in second] == pytest.approx(values, rel=1e-5, abs=1e-9)


def test_no_constant_that_cuts_work_into_parts_is_forgotten():
    named = {(module.__name__, constant) for module, constant, _ in SMALL_BATCHES}
    exempt = {
        ("bench.metrics.extractors.inception", "IMAGES_PER_PASS"),  # tests of its own
        ("bench.metrics.extractors.network_file", "IMAGES_PER_PASS"),
        ("bench.metrics.extractors.vision_transformers", "IMAGES_PER_PASS"),
        ("bench.metrics.ms_ssim", "BLOCK"),  # the width of a matrix
        ("bench.metrics.extractors.small_classifier", "BATCH"),  # of a training
    }
    found = set()
    metrics = Path(base.__file__).parent
    for path in metrics.rglob("*.py"):
        module = ".".join(path.relative_to(metrics).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            for target in getattr(node, "targets", ()):
                constant = getattr(target, "id", "")
                if any(word in constant for word in ("BATCH", "BLOCK", "CHUNK", "PER_PASS")):
                    found.add((f"bench.metrics.{module}", constant))
    assert found - exempt <= named


@each_metric
def test_it_gets_worse_where_it_must(name, world, bars, moons, short_training):
    if name == "classification_accuracy_score":
        short_training(60)
    first = world(name, fresh=True)[0]
    if name in OF_MODELS:
        good, bad = first.value, world(name, model=WORSE[name]())[0].value
    else:
        data = moons if name in OF_POINTS else bars
        real = world(name, x=data.test.x)[0].value
        good, bad = first.value, world(name, x=WORSE[name](data))[0].value
    direction = registry.load("metric", name).quantities[first.metric.split("/")[0]].direction
    if direction in ("real", "one"):
        aim = real if direction == "real" else 1
        assert 4 * abs(good - aim) < abs(bad - aim)
    elif direction is None:
        assert abs(bad - good) > 0.1 * abs(good), "neither is better, but it changes"
    else:
        assert bad > good + 0.1 * abs(good) if direction == "lower" else bad < 0.9 * good


@each_metric
def test_it_is_the_same_again_and_leaves_the_random_states_alone(name, world):
    torch.manual_seed(3)
    state, (_, keys, position, *_) = torch.get_rng_state(), np.random.get_state()
    numpy_state = [*keys, position]
    assert world(name, fresh=True) == world(name)
    assert torch.equal(state, torch.get_rng_state())
    _, keys, position, *_ = np.random.get_state()
    assert [*keys, position] == numpy_state


@each_metric
def test_every_measurement_has_a_protocol_and_is_finite(name, world):
    for one in world(name):
        assert one.protocol
        assert math.isfinite(one.value)


@each_metric
def test_it_says_to_which_data_it_does_not_apply(name, moons, bars, contexts):
    metric = registry.load("metric", name)()
    data = bars if name in OF_POINTS else moons
    samples, model = bars_samples(data), Bars(shape=data.spec.shape)
    model.encode = lambda x, y=None: Code(x, torch.zeros(len(x), 1) + 1e-3 * x[:, :1])
    reason = OF_POINTS.get(name, "moons (are|have)")
    if name in ("leakage", "prior_fit", "rate", "classification_accuracy"):
        assert metric.measure(samples, contexts(data, model=model))[0].value is not None
    else:
        with pytest.raises(NotApplicable, match=reason):
            metric.measure(samples, contexts(data, model=model))


LACKING = {
    "prior_fit": "the model infers no codes",
    "rate": "the model infers no codes",
    "classification_accuracy": "the model has no classifier",
}


@pytest.mark.parametrize("name", OF_MODELS)
def test_real_images_and_models_that_cannot_do_it_are_told_so(name, bars, contexts):
    samples, metric = bars_samples(bars), metric_of(name)
    with pytest.raises(NotApplicable, match=r"only a model has (codes|a classifier of its own)"):
        metric.measure(samples, contexts(bars))
    reason = LACKING.get(name, "the model has no encoder")
    with pytest.raises(NotApplicable, match=reason):
        metric.measure(samples, contexts(bars, model=nn.Linear(2, 2)))


LEAST = {
    ("inception_score", "splits"): 1,
    ("intra_class_diversity", "per_class"): 2,
    ("intra_class_diversity", "size"): 161,
    ("intra_class_diversity_native", "per_class"): 2,
    ("attribute_diversity", "per_class"): 2,
    ("attribute_diversity", "size"): 161,
    ("classification_accuracy_score", "per_class"): 1,
    ("classification_accuracy_score", "steps"): 1,
    ("kid", "subsets"): 1,
    ("kid", "subset_size"): 2,
    ("precision_recall", "k"): 1,
    ("density_coverage", "k"): 1,
    ("memorization", "most"): 1,
    ("leakage", "most"): 1,
    ("swap", "pairs"): 1,
    ("attribute_switch", "most"): 1,
    ("reconstruction", "most"): 1,
    ("inpainting", "most"): 1,
}


@pytest.mark.parametrize(("name", "option"), LEAST, ids="-".join)
def test_options_have_least_values(name, option):
    least = LEAST[name, option]
    assert complete_component("metric", {"name": name, option: least}, ())[option] == least
    with pytest.raises(KeyProblem, match=rf"^{option}: must be >= {least}, got {least - 1}$"):
        complete_component("metric", {"name": name, option: least - 1}, ())
