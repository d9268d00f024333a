"""Metrics within groups of classes, and of classes that differ in size."""

import pytest
import torch

from bench import registry
from bench.errors import BenchError
from bench.evaluation.measuring import measure
from bench.metrics.base import SampleSet
from bench.metrics.class_groups import GroupedMetric, TrainingImages
from bench.spec.components import complete_component, construct
from tests.metrics.bars import OF_MODELS, OPTIONS, context_of, make_data, metric_of, samples_of

OF_SAMPLES = [name for name in OPTIONS if name not in OF_MODELS]
GROUPED = [n for n in OPTIONS if issubclass(registry.load("metric", n), GroupedMetric)]
GROUPS = {"ends": ["a", "c"], "middle": ["b"], "none": {"at_most": 3}, "all": {"at_least": 30}}


@pytest.fixture(autouse=True)
def one_step(short_training):
    short_training(1)


@pytest.fixture
def context(bars, tmp_path):
    return context_of(bars, tmp_path)


def cut(samples, *counts):
    """Return so many samples of each class."""
    rows = [(samples.y == label).nonzero()[:count, 0] for label, count in enumerate(counts)]
    return SampleSet(samples.x[torch.cat(rows)], samples.y[torch.cat(rows)], samples.spec)


def measured(name, samples, context, **options):
    found = measure([metric_of(name, **options)], samples, context, step=0, split="samples")
    return {entry["metric"]: entry for entry in found}


@pytest.mark.parametrize("name", GROUPED)
def test_a_group_is_measured_as_its_samples_alone_are(name, context):
    samples = samples_of(make_data(seed=5))
    options = {"groups": construct("metric", {"name": name, "groups": GROUPS}).groups}
    found = measured(name, samples, context, **options)
    plain, ends = measured(name, samples, context), samples.of_classes([0, 2])
    alone = measured(name, ends, context)
    for metric, entry in plain.items():
        assert found[metric] == entry, "the whole is as without groups"
        assert found[f"{metric}/ends"]["value"] == alone[metric]["value"] is not None
        assert found[f"{metric}/all"]["value"] == entry["value"]
        about = f"{alone[metric]['protocol']}[classes=ends:2@"
        assert found[f"{metric}/ends"]["protocol"].startswith(about)
        assert f"{metric}/middle" in found
    nothing = [entry for key, entry in found.items() if key.endswith("/none")]
    assert {entry["reason"] for entry in nothing} == {"no sample is of these classes"}


@pytest.mark.parametrize("name", GROUPED)
def test_every_class_can_be_a_group(name, context):
    found = measured(name, samples_of(make_data(seed=5)), context, groups="classes")
    assert {key.rpartition("/")[2] for key in found} >= {"a", "b", "c"}


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_unequal_classes_are_measured_and_their_sizes_told(name, context):
    samples = samples_of(make_data(seed=5))
    equal, other = (measured(name, cut(samples, *n), context) for n in ((20,) * 3, (30, 20, 10)))
    for metric, entry in other.items():
        if entry["value"] is None:  # within the smallest class there are too few for a covariance
            assert metric == "fid/per_class" or "makes no pair" in entry["reason"]
        assert "[class-sizes=10..30@" in entry["protocol"]
        assert entry["protocol"] != equal.get(metric, {}).get("protocol")
    assert not any("class-sizes" in entry["protocol"] for entry in equal.values())


def test_accuracy_over_images_and_over_classes(context):
    samples = cut(samples_of(make_data(seed=5)), 30, 20, 10)
    samples = SampleSet(
        torch.where((samples.y == 2)[:, None, None, None], 0, samples.x), *(samples.y, samples.spec)
    )  # the smallest class is never recognized
    found = measured("class_accuracy", samples, context)
    assert found["class_accuracy"]["value"] == pytest.approx(100 * 50 / 60)
    assert found["class_accuracy/macro"]["value"] == pytest.approx(100 * 2 / 3)
    assert "average=micro" in found["class_accuracy"]["protocol"]
    assert "average=macro" in found["class_accuracy/macro"]["protocol"]


def test_classes_of_one_image_have_no_error(context):
    found = measured("class_accuracy", cut(samples_of(make_data(seed=5)), 3, 2, 1), context)
    assert {entry["error"] for entry in found.values()} == {None}


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_samples_without_labels_are_measured_where_none_are_needed(name, context):
    whole = samples_of(make_data(seed=5))
    samples = SampleSet(whole.x, 0 * whole.y, whole.spec, labeled=False)
    found = measured(name, samples, context)
    if registry.load("metric", name).needs_labels:
        assert {e["reason"] for e in found.values()} == {
            "the labels of these samples are not known"
        }
        return
    for metric, entry in measured(name, whole, context).items():
        if "per_class" not in metric:  # all training classes have equally many images
            assert found[metric]["value"] == pytest.approx(entry["value"], rel=1e-6)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"ends": ["a", "d"]}, "groups: ends: unknown class 'd'"),
        ({"ends": []}, "groups.ends.*at least 1"),
        ({"a/b": ["a"]}, "groups: 'a/b': expected a name of letters"),
        ({"macro": ["a"]}, "groups: 'macro' is a reserved name"),
        ({"ends": {"at_leas": 3}}, r"groups.ends.at_leas: .* \(did you mean 'at_least'\?\)"),
        ({"ends": {"at_least": -1}}, "groups.ends.at_least: must be >= 0, got -1"),
        ({"ends": "a"}, 'groups.ends: expected a list, got "a"'),
        ("class", "groups: expected one of 'classes', got \"class\""),
    ],
)
def test_groups_that_make_no_sense_are_refused(groups, message, bars):
    def check():
        component = complete_component("metric", {"name": "fid", "groups": groups}, ())
        construct("metric", component).check(bars.spec)

    with pytest.raises(BenchError, match=message):
        check()


def test_groups_leave_the_configuration_of_older_sweeps_alone():
    assert "groups" not in complete_component("metric", {"name": "fid"}, ())
    assert construct("metric", {"name": "kid", "groups": {"few": {"at_most": 20}}}).groups == {
        "few": TrainingImages(at_most=20)
    }
