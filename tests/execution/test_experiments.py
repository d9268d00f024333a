"""The experiments of the papers, each by its one command, on small data and for two iterations."""

import csv

import pytest

from bench.metrics.extractors import small_classifier
from bench.spec.located_yaml import read_yaml
from tests.shipped_data import AFTER_PRETRAIN, SWEEPS, make_shipped_data

ON_THE_CPU = ("--device", "cpu", "--tracker", "none", "--jobs", "1")
SHORT = ("base.iterations=2", "base.samples_per_class=6", "seeds=[0]")
IMAGES = "base.data={name: blobs, image_size: 32, channels: 3, per_class: 20, test_per_class: 6}"
ON_IMAGES = ("table1", "table2", "ablation", "narrow", "cifar100")
ON_POINTS = ("toy", "swiss_roll")
ON_DIGITS = ("semi", "semi_attributes", "attributes", "attribute_switching")
ON_BROUGHT_DATA = ("faces", "cub")
IN_TWO_STEPS = ("pretrain", "finetune")


def overrides(name):
    """Return the words that make a sweep tiny."""
    content = read_yaml(SWEEPS / f"{name}.yaml").value
    if name in ON_POINTS:
        return [*SHORT, "base.data.per_class=300", "base.snapshots=1"]
    if name in ON_DIGITS:
        return [*SHORT]
    data = IMAGES if name in ON_IMAGES else "base.data.test_per_class=6"
    own = [key for key, patch in content["variants"].items() if "model" in patch]
    widths = [f"variants.{key}.model.width=0.1" for key in own]
    shared = ["base.model.width=0.1"] if "model" in content["base"] else []
    return [*SHORT, data, "base.batch_size=6", *widths, *shared]


@pytest.fixture
def rehearse(bench, here, monkeypatch):
    """Run a sweep of the papers in little time; return its measurements that have a value."""
    monkeypatch.setattr(small_classifier, "STEPS", 1)

    def run(name, *words):
        status, _, errors = bench("run", name, *ON_THE_CPU, *words)
        assert not status, errors
        with (here / "results" / name / "measurements.csv").open() as file:
            return [row for row in csv.DictReader(file) if row["value"]]

    return run


def test_every_experiment_is_rehearsed():
    papers = {p.stem for p in SWEEPS.glob("*.yaml") if read_yaml(p).value.get("paper")}
    assert papers == {*ON_IMAGES, *ON_POINTS, *ON_DIGITS, *ON_BROUGHT_DATA, *IN_TWO_STEPS}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ON_POINTS, *ON_DIGITS, *ON_IMAGES])
def test_one_command_runs_the_experiment(name, rehearse, bench):
    measured = {row["variant"] for row in rehearse(name, *overrides(name))}
    for variant in read_yaml(SWEEPS / f"{name}.yaml").value["variants"]:
        assert any(row.startswith(variant) for row in measured), variant  # a grid adds to the name
    status, text, errors = bench("report", name)
    assert not status, errors
    assert "Training: 2 iterations of" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_BROUGHT_DATA)
def test_the_sweep_measures_all_that_it_names(name, rehearse, bench, here):
    make_shipped_data(here)
    figures = rehearse(name, *overrides(name))
    measured = {row["metric"] for row in figures if row["variant"] == "lr_livae"}
    regions = {"right_half", "bottom_half", "center"}
    regions |= {"eyes", "nose_mouth"} if name == "faces" else set()
    assert {f"inpainting_mse/{region}" for region in regions} == {
        metric for metric in measured if metric.startswith("inpainting_mse")
    }
    assert {"inception_score", "intra_class_diversity", "class_accuracy"} <= measured
    judges = {row["protocol"] for row in figures if row["metric"] == "inception_score"}
    assert any("network@" in protocol for protocol in judges) == (name == "faces")
    status, page, errors = bench("report", name, "--table", "1" if name == "faces" else "5")
    assert not status, errors
    assert "FaceScrub" in page if name == "faces" else "CUB-200-2011" in page


@pytest.mark.slow
def test_fine_tuning_goes_on_from_the_run_of_the_same_seed(rehearse, bench):
    short = ("seeds=[1]", "base.iterations=2")
    status, _, errors = bench("run", "finetune", *ON_THE_CPU, *short)
    assert (status, "there is no folder results/pretrain" in errors) == (2, True)
    rehearse("pretrain", *short)
    edits = [f"variants.{name}.iterations=2" for name in AFTER_PRETRAIN]
    figures = rehearse("finetune", *short, *edits)
    for variant in ("before", *AFTER_PRETRAIN):
        measured = {row["metric"] for row in figures if row["variant"] == variant}
        assert {"reconstruction_mse", "reconstruction_mse/digits-8-9"} <= measured
        assert {"swap_relevant", "swap_relevant/digits-8-9"} <= measured
