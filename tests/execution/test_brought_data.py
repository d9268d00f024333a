"""Shipped sweeps that need data or another sweep, rehearsed in little time."""

import csv

import pytest

from bench.metrics.extractors import small_classifier
from tests.shipped_data import AFTER_PRETRAIN, make_shipped_data

SHORT = (
    *("base.iterations=2", "base.batch_size=6", "base.samples_per_class=6", "seeds=[0]"),
    *("base.data.test_per_class=6", "--device", "cpu", "--no-mlflow", "--jobs", "1"),
)
SMALL = tuple(
    f"variants.{name}.model={{name: {name}, width: 0.1}}"
    for name in ("cvae", "cvae_gan", "cgan", "lr_livae")
)


@pytest.fixture
def rehearse(bench, here, monkeypatch):
    """Run a shipped sweep on small data with two small models; return its measured figures."""

    def run(name):
        make_shipped_data(here)
        monkeypatch.setattr(small_classifier, "STEPS", 1)
        status, _, errors = bench("run", name, *SHORT, *SMALL)
        assert not status, errors
        with (here / "results" / name / "figures.csv").open() as file:
            return list(csv.DictReader(file))

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faces", "cub"])
def test_the_sweep_measures_all_that_it_names(name, rehearse, bench):
    figures = rehearse(name)
    measured = {row["metric"] for row in figures if row["value"] and row["variant"] == "lr_livae"}
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
def test_fine_tuning_goes_on_from_the_run_of_the_same_seed(bench, here, monkeypatch):
    monkeypatch.setattr(small_classifier, "STEPS", 1)
    short = ("--device", "cpu", "--no-mlflow", "--jobs", "1", "seeds=[1]", "base.iterations=2")
    status, _, errors = bench("run", "finetune", *short)
    assert (status, "there is no folder results/pretrain" in errors) == (2, True)
    assert bench("run", "pretrain", *short)[0] == 0
    edits = [f"variants.{name}.iterations=2" for name in AFTER_PRETRAIN]
    status, _, errors = bench("run", "finetune", *short, *edits)
    assert not status, errors
    with (here / "results/finetune/figures.csv").open() as file:
        figures = [row for row in csv.DictReader(file) if row["value"]]
    for variant in ("before", *AFTER_PRETRAIN):
        measured = {row["metric"] for row in figures if row["variant"] == variant}
        assert {"reconstruction_mse", "reconstruction_mse/digits-8-9"} <= measured
        assert {"swap_relevant", "swap_relevant/digits-8-9"} <= measured
