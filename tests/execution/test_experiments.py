"""The experiments of the papers, each by its one command, on small data and for two iterations.

Those that need data or another sweep are in test_brought_data.py.
"""

import csv

import pytest

from bench.metrics.extractors import small_classifier
from bench.spec.located_yaml import read_yaml
from tests.shipped_data import SWEEPS

SHORT = (
    *("base.iterations=2", "base.samples_per_class=6", "seeds=[0]"),
    *("--device", "cpu", "--tracker", "none", "--jobs", "1"),
)
IMAGES = "base.data={name: blobs, image_size: 32, channels: 3, per_class: 20, test_per_class: 6}"
ON_IMAGES = ("table1", "table2", "ablation", "narrow", "cifar100")
ON_POINTS = ("toy", "swiss_roll")
ON_DIGITS = ("semi", "semi_attributes", "attributes", "attribute_switching")
ELSEWHERE = ("faces", "cub", "pretrain", "finetune")


def shortened(name):
    """Return the overrides that make a sweep tiny."""
    content = read_yaml(SWEEPS / f"{name}.yaml").value
    variants = content["variants"]
    if name in ON_POINTS:
        return ["base.data.per_class=300", "base.snapshots=1"]
    if name in ON_DIGITS:
        return []
    widths = [
        f"variants.{key}.model.width=0.1" for key, patch in variants.items() if "model" in patch
    ]
    return [
        IMAGES,
        "base.batch_size=6",
        *widths,
        *(["base.model.width=0.1"] if "model" in content["base"] else []),
    ]


def test_every_experiment_is_rehearsed():
    papers = {p.stem for p in SWEEPS.glob("*.yaml") if read_yaml(p).value.get("paper")}
    assert papers == {*ON_IMAGES, *ON_POINTS, *ON_DIGITS, *ELSEWHERE}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ON_POINTS, *ON_DIGITS, *ON_IMAGES])
def test_one_command_runs_the_experiment(name, bench, here, monkeypatch):
    monkeypatch.setattr(small_classifier, "STEPS", 1)
    status, _, errors = bench("run", name, *SHORT, *shortened(name))
    assert not status, errors
    with (here / "results" / name / "figures.csv").open() as file:
        measured = {row["variant"] for row in csv.DictReader(file) if row["value"]}
    for variant in read_yaml(SWEEPS / f"{name}.yaml").value["variants"]:
        assert any(row.startswith(variant) for row in measured), variant  # a grid adds to the name
    status, text, errors = bench("report", name)
    assert not status, errors
    assert "Training: 2 iterations of" in text
