"""Measurements at several times of a training, and on the validation split by other evaluators."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch

from bench.evaluation.measuring import VALIDATION_SEED, validation_metric
from bench.record.jsonl import read_jsonl
from bench.record.run_folder import RunFolder
from bench.spec.run_config import complete_settings
from bench.spec.validation import KeyProblem
from tests.execution.sweeps import wait_for

SETTINGS = {
    "model": {"name": "cvae", "width": 0.25, "latent": 4},
    "data": "blobs",
    "iterations": 12,
    "batch_size": 16,
    "samples_per_class": 3,
    "seed": 0,
}
RUN = ("run", "one.yaml", "--no-mlflow", "--device", "cpu", "--checkpoint-seconds", "0.02")
ONE = """\
name: tiny
base:
  model: {name: cvae, width: 0.25, latent: 4}
  data: blobs
  iterations: 12
  batch_size: 16
  samples_per_class: 3
seeds: [0]
"""
THREE = "base.snapshots=3"
ACCURACY = "base.metrics=[class_accuracy]"
BOTH = "base.splits=[test, validation]"


@pytest.fixture(autouse=True)
def one_run(here, quick_classifiers):
    (here / "one.yaml").write_text(ONE)


def run_folder(here, results="results"):
    (config,) = (here / results / "tiny").glob("[0-9a-f]*/config.json")
    return config.parent


def measurements(folder):
    return [(r["step"], r["split"], r["value"]) for r in read_jsonl(folder / "evaluation.jsonl")]


def same_weights(first, second):
    one, two = (torch.load(path, weights_only=True) for path in (first, second))
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("iterations", "snapshots", "steps"),
    [(12, 1, [12]), (12, 3, [4, 8, 12]), (10, 3, [3, 6, 10]), (3, 3, [1, 2, 3])],
)
def test_times_are_equal_parts_and_the_last_is_the_end(iterations, snapshots, steps):
    settings = SETTINGS | {"iterations": iterations, "snapshots": snapshots}
    assert complete_settings(settings).steps == steps


def test_asking_for_snapshots_changes_what_is_measured_and_not_what_is_trained():
    plain, more = complete_settings(SETTINGS), complete_settings(SETTINGS | {"snapshots": 3})
    both = complete_settings(SETTINGS | {"splits": ["validation", "test"]})
    assert plain.id == more.id == both.id
    assert len({plain.evaluation_id, more.evaluation_id, both.evaluation_id}) == 3
    assert (
        both.evaluation_id
        == complete_settings(SETTINGS | {"splits": ["test", "validation"]}).evaluation_id
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"snapshots": 13}, "snapshots: must be at most iterations, 12; got 13"),
        ({"snapshots": 0}, "snapshots: must be > 0, got 0"),
        ({"splits": ["train"]}, "splits.0: expected one of 'test' or 'validation'"),
        (
            {"splits": ["validation"], "data": {"name": "blobs", "validation_fraction": 0.0}},
            "splits.0: blobs has no validation split, since its validation_fraction is 0",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(change, message):
    with pytest.raises(KeyProblem, match=message):
        complete_settings(SETTINGS | change)


def test_the_judge_of_selection_is_never_that_of_the_table():
    metric = {"name": "fid", "extractor": "inception", "extractor_seed": 2, "against": "test"}
    chosen = validation_metric(metric)
    assert chosen == metric | {"extractor": "domain", "extractor_seed": 2 + VALIDATION_SEED}
    assert validation_metric({"name": "intra_class_diversity"}) == {"name": "intra_class_diversity"}


def test_snapshots_change_neither_the_training_nor_the_last_figures(bench, here):
    for results, more in (("plain", ()), ("often", (THREE, BOTH))):
        status, _, err = bench(*RUN, ACCURACY, *more, "--results", results)
        assert status == 0, err
    plain, often = run_folder(here, "plain"), run_folder(here, "often")
    assert (plain / "rows.jsonl").read_bytes() == (often / "rows.jsonl").read_bytes()
    assert same_weights(plain / "model.pt", often / "model.pt")
    found = measurements(often)
    assert [f for f in found if f[:2] == (12, "samples")] == measurements(plain)
    assert [f[:2] for f in found] == [
        (step, split) for step in (4, 8, 12) for split in ("samples", "validation")
    ]
    protocols = {r["split"]: r["protocol"] for r in read_jsonl(often / "evaluation.jsonl")}
    assert protocols["samples"] != protocols["validation"], "another network has measured"
    assert {row["split"] for row in read_jsonl(next((here / "often").glob("tiny/real-*/e*l")))} == {
        "real",
        "validation",
    }
    with (
        np.load(often / "snapshots" / "4" / "samples.npz") as early,
        np.load(often / "samples.npz") as last,
    ):
        assert early["x"].shape == last["x"].shape
        assert (early["x"] != last["x"]).any()


def test_a_finished_run_is_trained_again_for_its_snapshots_and_says_so(bench, here):
    bench(*RUN)
    folder = run_folder(here)
    shutil.copy(folder / "model.pt", here / "before.pt")
    _, _, err = bench(*RUN, THREE, ACCURACY)
    assert "trained again, to keep its weights after iterations [4, 8]" in err
    assert same_weights(here / "before.pt", folder / "model.pt")
    assert [step for step, _, _ in measurements(folder)] == [4, 8, 12]
    _, _, err = bench(*RUN, THREE, ACCURACY, BOTH)
    assert "trained again" not in err, "other measurements need no other weights"


def test_averaged_weights_are_those_of_a_shorter_run(bench, here):
    average = "base.average={decay: 0.9, players: [decoder]}"
    constant = "base.optimizers={default: {schedule: {name: constant}}}"
    bench(*RUN, average, constant, THREE)
    bench(*RUN, average, constant, "base.iterations=8", "--results", "short")
    short = run_folder(here, "short") / "model.pt"
    assert same_weights(run_folder(here) / "snapshots" / "8" / "model.pt", short)


@pytest.mark.slow
def test_killed_between_snapshots_it_ends_as_if_nothing_had_happened(bench_process, here):
    long = (*RUN, ACCURACY, "base.iterations=300", "base.snapshots=5")
    straight = bench_process(*long, "--results", "straight")
    _, err = straight.communicate(timeout=120)
    assert straight.returncode == 0, err
    killed = bench_process(*long)
    wait_for(lambda: list(here.glob("results/tiny/*/snapshots/120/model.pt")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = bench_process(*long)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    first, second = run_folder(here, "straight"), run_folder(here)
    for name in ("evaluation.jsonl", "rows.jsonl", "snapshots/240/evaluation.jsonl"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.slow
def test_a_checkpoint_from_after_a_lost_snapshot_is_not_continued(bench_process, here):
    long = (*RUN, "base.iterations=300")
    killed = bench_process(*long)
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt.previous")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = bench_process(*long, "base.snapshots=300", "--checkpoint-seconds", "1000")
    wait_for(lambda: (run_folder(here) / "snapshots" / "2" / "done").exists())
    again.send_signal(signal.SIGKILL)
    again.communicate()
    folder = run_folder(here)
    assert RunFolder(folder).snapshot(1).model.exists()
    assert "restarting the run" in (folder / "log.txt").read_text()


def test_a_stop_while_a_snapshot_is_measured_leaves_that_and_saves(bench, here, monkeypatch):
    def measure(run, model, context, step):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the evaluation went on")

    never = (*RUN[:-1], "1000", THREE, ACCURACY)
    with monkeypatch.context() as patch:
        patch.setattr("bench.execution.run_one.measure_model", measure)
        status, _, err = bench(*never)
    assert status == 130
    assert "stopped after iteration 4, checkpoint saved; continue with" in err
    status, _, err = bench(*never)
    assert status == 0, err
    assert "resumed at iteration 4" in (run_folder(here) / "log.txt").read_text()
    assert [step for step, _, _ in measurements(run_folder(here))] == [4, 8, 12]


def test_what_was_added_to_a_run_outlives_its_snapshots(bench, here):
    bench(*RUN, ACCURACY)
    folder = run_folder(here)
    bench("evaluate", str(folder), "--metric", "within_class_variance", "--record")
    _, _, err = bench(*RUN, ACCURACY, THREE)
    assert "trained again" in err
    added = [row["metric"] for row in read_jsonl(folder / "evaluation.jsonl") if row.get("added")]
    assert added == ["within_class_variance/pixels", "within_class_variance/features"]


def test_a_run_that_is_trained_again_keeps_its_curves_until_that_has_ended(
    bench, here, monkeypatch
):
    bench(*RUN, ACCURACY)
    folder = run_folder(here)
    curves = (folder / "rows.jsonl").read_bytes()

    def stop(run, folder, step, context):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("bench.execution.run_one._snapshot_entries", stop)
        assert bench(*RUN, ACCURACY, THREE)[0] == 130
    assert (folder / ".retraining" / "checkpoint.pt").exists()
    assert (folder / "rows.jsonl").read_bytes() == curves
    assert bench(*RUN, ACCURACY)[0] == 0, "without snapshots nothing is lacking"
    assert (folder / "rows.jsonl").read_bytes() == curves
    assert bench(*RUN, ACCURACY, THREE)[0] == 0
    assert "resumed at iteration 4" in (folder / "log.txt").read_text()
    assert (folder / "rows.jsonl").read_bytes() == curves
    assert not (folder / ".retraining").exists()


def test_a_run_goes_on_with_the_threads_that_it_began_with(bench, here, monkeypatch):
    monkeypatch.setattr("bench.process.worker.usable_cores", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    large = ("base.data={name: blobs, image_size: 32}", "--checkpoint-seconds", "0")

    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("bench.record.progress.ProgressFile.update", interrupted)
        assert bench(*RUN, *large)[0] == 130
    monkeypatch.setattr("bench.process.worker.usable_cores", lambda: 1)
    assert bench(*RUN, *large)[0] == 0
    provenance = json.loads((run_folder(here) / "provenance.json").read_text())
    assert provenance["threads"] == 2
    assert "continued" not in provenance


def test_real_images_are_measured_by_all_that_any_variant_asks_for(bench, here):
    variants = (
        "{a: {metrics: [class_accuracy]}, b: {iterations: 6, metrics: [within_class_variance]}}"
    )
    assert bench(*RUN, f"variants={variants}", "base.metrics=[]")[0] == 0
    [real] = here.glob("results/tiny/real-*/evaluation.jsonl")
    parts = {row["metric"].partition("/")[0] for row in read_jsonl(real)}
    assert parts == {"class_accuracy", "within_class_variance"}
    assert "nothing to do" in bench(*RUN, f"variants={variants}", "base.metrics=[]")[2]
