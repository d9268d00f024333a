"""`bench perf`: that it measures what it says; how fast a machine is, tests do not ask."""

import json

import pytest

from bench.metrics import classifier

SMALL = ("--data", "{name: blobs, image_size: 8, per_class: 30, test_per_class: 10}")
FEW = ("--samples-per-class", "10", "--pairs", "2", "--device", "cpu", *SMALL)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 1)
    monkeypatch.setattr(classifier, "EPOCHS", 0)


def test_every_metric_is_timed_and_absent_ones_have_a_reason(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["samples"] == 30
    rows = {row["what"]: row for row in found["metrics"]}
    assert rows["arc_fit"]["reason"] == "blobs has no arcs"
    assert rows["intra_class_diversity"]["reason"] == ""
    assert all(row["seconds"] > 0 for row in rows.values())
    for kind in ("seconds", "cpu_seconds"):
        total = sum(row[kind] for row in rows.values())
        assert found["total"][kind] == pytest.approx(total)
    assert [row["what"] for row in found["setup"]] == [
        "training the domain classifier",
        "drawing 30 samples",
    ]


def test_all_pairs_are_compared_with_a_loop_on_some(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--metric", "intra_class_diversity", "--json")
    assert status == 0, err
    found = json.loads(out)["ms_ssim"]
    assert (found["pairs"], found["naive_pairs"]) == (3 * 45, 2)
    assert found["times_as_fast"] == pytest.approx(found["naive_seconds_scaled"] / found["seconds"])


def test_the_table_says_what_was_scaled(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--metric", "intra_class_diversity")
    assert status == 0, err
    assert "times as fast as a loop over pytorch_msssim" in out
    assert "which was run on 2 pairs and scaled to" in out
    assert "within the 180 s" in out


def test_points_have_no_classifier_to_train(bench):
    words = ("--data", "{name: moons, per_class: 50}", "--metric", "arc_fit", "--json")
    status, out, err = bench("perf", "metrics", "--samples-per-class", "10", *words)
    assert status == 0, err
    found = json.loads(out)
    assert [row["what"] for row in found["setup"]] == ["drawing 30 samples"]
    assert [row["what"] for row in found["metrics"]] == ["arc_fit"]


def test_a_wrong_model_is_an_error(bench):
    status, _, err = bench("perf", "metrics", *FEW, "--model", "cvea")
    assert status == 2
    assert "cvae" in err
