"""Rows that `bench evaluate --name` keeps: what joins them, replaces them, and is refused."""

import errno
import json
import shutil
import tempfile
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from bench import console
from bench.evaluation import given_samples, saved_rows
from bench.record.jsonl import read_entries
from bench.record.run_folder import RunFolder
from tests.evaluation.given import ONE, QUICK, arrays, images


def test_a_kept_row_stands_beside_a_sweep(bench, theirs, run, here):
    keep = ("evaluate", "theirs", *ONE, "--samples-per-class", "3", "--name", "Their GAN")
    status, _, err = bench(*keep)
    assert status == 0, err
    assert "kept the row 'Their GAN' in results/evaluations" in err
    _, out, _ = bench("report", "tiny", "evaluations", "--table", "summary")
    assert out.count("real test images") >= 1
    assert "Their GAN         100.0" in out
    assert "cVAE" in out
    assert "more than one protocol" not in out.partition("Class accuracy on")[2]
    [config] = [json.loads(p.read_text()) for p in here.glob("results/evaluations/set-*/c*.json")]
    origin = config["config"]["evaluated"]
    assert f"images of theirs (sha256 {origin['sha256'][:12]}), 3 of each class" in out
    assert origin["path"] == "theirs"
    assert origin["found"] == [4, 4, 4]
    assert "or use `bench evaluate --metric`):" in out
    assert "  - Their GAN (Inception Score) on Blobs" in out
    _, out, _ = bench("status", "evaluations")
    assert out == "evaluations: 1 done; controls: 1 done\n"
    assert (here / "results/evaluations/measurements.csv").exists()


def test_the_same_name_is_replaced_and_seeds_make_one_row(bench, theirs, here):
    path = next(theirs.glob("*/*.png"))
    for seed in ("0", "1", "1"):
        status, _, err = bench("evaluate", "theirs", *ONE, "--name", "GAN", "--seed", seed)
        assert status == 0, err
        pixels = np.array(Image.open(path))
        pixels[0, 0] += 1
        Image.fromarray(pixels).save(path)
    assert "replaced the row 'GAN', seed 1" in err
    bench("evaluate", "theirs", "--data", "blobs", "--metric", "inception_score", "--name", "other")
    _, out, _ = bench("report", "evaluations", "--table", "summary")
    assert "100.0 ± 0.0 (2)" in out
    assert len(list(here.glob("results/evaluations/real-*"))) == 1
    real = next(line for line in out.splitlines() if line.startswith("real test images"))
    assert "—" not in real  # the measurements of both calls


def test_what_is_no_further_seed_is_refused(bench, theirs):
    keep = ("evaluate", "theirs", *ONE, "--name")
    assert bench(*keep, "seeded", "--seed", "0")[0] == bench(*keep, "bare")[0] == 0
    for words, message in (
        (
            ("seeded", "--seed", "1"),
            "--name seeded: these are the images of seed 0 of that row; take another name",
        ),
        (("seeded",), "whose seed is known, and these would count as one seed more"),
        (("bare", "--seed", "0"), "whose seed is not known, so these would count as one seed"),
    ):
        status, _, err = bench(*keep, *words)
        assert status == 2
        assert message in err


def test_a_row_of_the_same_images_gets_further_metrics(bench, theirs, here):
    for metric in ("class_accuracy", "intra_class_diversity"):
        words = ("--data", "blobs", "--metric", metric, "--samples-per-class", "3")
        status, _, err = bench("evaluate", "theirs", *words, "--name", "GAN")
        assert status == 0, err
    assert "added to the row 'GAN' in" in err
    _, out, _ = bench("report", "evaluations", "--table", "summary")
    row = next(line for line in out.splitlines() if line.startswith("GAN"))
    assert row.split()[1] == "100.0"
    assert "Intra-class diversity" in out
    assert bench("status", "evaluations")[1] == "evaluations: 1 done; controls: 1 done\n"


def test_samples_of_runs_may_be_kept_as_a_row(bench, run, here):
    status, _, err = bench("evaluate", str(run), *QUICK, "--sample-seed", "7", "--name", "again")
    assert status == 0, err
    _, out, _ = bench("report", "tiny", "evaluations", "--table", "summary")
    assert f"again, seed 0: the run tiny/{run.name}, drawn with sample seed 7" in out
    np.savez(here / "a.npz", **arrays())
    status, _, err = bench("evaluate", "a.npz", *ONE, "--name", "again")
    assert status == 2
    assert "--name again: the row holds samples of cvae, and these are of elsewhere" in err


def test_runs_of_other_settings_are_no_seeds_of_one_row(bench, run):
    """A run of another seed and another setting is made of the files of the first."""
    other = run.with_name("0" * 12)
    shutil.copytree(run, other)
    config = json.loads((other / "config.json").read_text())
    config["id"] = other.name
    config["config"] |= {"seed": 5, "clip_norm": 1.0}
    (other / "config.json").write_text(json.dumps(config))
    keep = ("evaluate", *QUICK, "--name", "both")
    assert bench(*keep, str(run))[0] == 0
    status, _, err = bench(*keep, str(other))
    assert status == 2
    assert "--name both: seed 0 of the row was trained with other settings (clip_norm); " in err


def test_a_row_of_other_weights_is_replaced(bench, run):
    keep = ("evaluate", str(run), "--device", "cpu", "--name", "drawn", "--metric")
    assert bench(*keep, "class_accuracy")[0] == 0
    weights = torch.load(run / "model.pt", weights_only=True)
    torch.save({name: 0.5 * part for name, part in weights.items()}, run / "model.pt")
    _, _, err = bench(*keep, "inception_score")
    assert "replaced the row 'drawn', seed 0" in err


def others():
    """Return other images than those of `theirs`."""
    x, y = images(seed=1)
    return {"x": x[..., 0], "y": y}


def kill(*_):
    raise KeyboardInterrupt


def test_what_is_killed_while_it_replaces_a_row_mixes_nothing(bench, theirs, here, monkeypatch):
    np.savez(here / "a.npz", **others())
    keep = ("evaluate", "--data", "blobs", "--device", "cpu", "--name", "GAN", "--metric")
    assert bench(*keep, "class_accuracy", "theirs")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(saved_rows, "write_jsonl", kill)
        assert bench(*keep, "class_accuracy", "a.npz")[0] != 0
    assert bench(*keep, "inception_score", "a.npz")[0] == 0
    [row] = here.glob("results/evaluations/set-*")
    assert [entry["metric"] for entry in read_entries(row / "evaluation.jsonl")] == [
        "inception_score"
    ]


def test_rows_whose_plan_is_lost_are_named(bench, theirs, run, here):
    keep = ("evaluate", "theirs", *ONE, "--name")
    assert bench(*keep, "GAN")[0] == 0
    [row] = here.glob("results/evaluations/set-*")
    plan = here / "results" / "evaluations" / "sweep.json"
    lost = f"left out: results/evaluations/{row.name} is a row that results/evaluations/sweep.json"
    again = "lacks; keep it again: bench evaluate theirs "
    assert "left out" not in bench("report")[2]
    plan.unlink()
    for words in (("report",), ("status",), ("report", "evaluations"), ("report", "--variance")):
        console._left_out.clear()
        assert f"{lost} {again}" in bench(*words)[2]
    assert bench(*keep, "other")[0] == 0, "its plan knows nothing of the first row"
    console._left_out.clear()
    _, out, err = bench("report", "tiny", "evaluations")
    assert "other" in out
    assert err.count("left out") == err.count(lost) == 1
    plan.write_text("{")
    console._left_out.clear()
    _, _, err = bench("report")
    assert err.count("left out") == 1
    assert "delete it, and keep the rows again with bench evaluate --name" in err


def test_rows_that_no_call_would_join_are_not_imported(bench, theirs, here):
    np.savez(here / "a.npz", **others())
    for results, words in {
        "first": ("theirs", "--seed", "0"),
        "equal": ("theirs", "--seed", "1"),
        "other": ("a.npz", "--seed", "0"),
        "bare": ("a.npz",),
        "more": ("a.npz", "--seed", "1"),
    }.items():
        status, _, err = bench("evaluate", *words, *ONE, "--name", "GAN", "--results", results)
        assert status == 0, err
        bench("export", "evaluations", "--results", results, "--to", f"{results}.tgz")
    for name, why in {
        "equal": "these are the images of seed 0 of that row",
        "other": "'GAN' has other samples there",
        "bare": "the row has samples whose seed is known",
    }.items():
        status, _, err = bench("import", f"{name}.tgz", "--results", "first")
        assert status == 2
        assert why in err
        assert "nothing was imported" in err
    assert bench("import", "more.tgz", "--results", "first")[0] == 0
    _, out, _ = bench("report", "evaluations", "--results", "first")
    assert "(2)" in out


def test_an_import_adds_what_was_measured_elsewhere_of_the_same_images(bench, theirs, here):
    for results, metric in {"here": "class_accuracy", "there": "inception_score"}.items():
        words = ("theirs", "--data", "blobs", "--device", "cpu", "--metric", metric)
        status, _, err = bench("evaluate", *words, "--name", "GAN", "--results", results)
        assert status == 0, err
    bench("export", "evaluations", "--results", "there", "--to", "there.tgz")
    for said in ("0 added, 2 kept (with 2 more measurements), in", "0 added, 2 kept, in"):
        status, out, err = bench("import", "there.tgz", "--results", "here")
        assert status == 0, err
        assert said in out
    for folder in here.glob("here/evaluations/*/config.json"):
        entries = read_entries(folder.with_name("evaluation.jsonl"))
        assert [entry["metric"] for entry in entries] == ["class_accuracy", "inception_score"]
        assert all("added" not in entry for entry in entries)
    [row] = here.glob("here/evaluations/set-*/config.json")
    assert [m["name"] for m in json.loads(row.read_text())["config"]["metrics"]] == [
        "class_accuracy",
        "inception_score",
    ]


def test_no_sweep_takes_the_folder(bench):
    status, _, err = bench("run", "tiny.yaml", "name=evaluations", "--dry-run")
    assert status == 2
    assert "where `bench evaluate` keeps its rows" in err


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


WAYS = pytest.mark.parametrize("words", [("--name", "GAN"), ("--record",)], ids=["name", "record"])


@WAYS
def test_what_cannot_be_kept_is_shown(bench, run, words, monkeypatch):
    monkeypatch.setattr(saved_rows, "write_jsonl", full)
    status, out, err = bench("evaluate", str(run), *QUICK, *words)
    assert (status, "No space left on device" in err) == (2, True), err
    assert "Class accuracy (%)" in out


@WAYS
def test_nothing_is_measured_where_nothing_can_be_kept(bench, run, words, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setattr(given_samples, "measure", None)
    status, _, err = bench("evaluate", str(run), *QUICK, *words)
    assert (status, "error: cannot write results to" in err) == (2, True), err


def test_a_run_that_another_process_holds_is_waited_for(bench, run, monkeypatch):
    held, told = threading.Event(), threading.Event()

    def hold():
        with RunFolder(run).locked():
            held.set()
            told.wait(60)

    monkeypatch.setattr(saved_rows, "say", lambda _: told.set())
    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    metric = ("--metric", "intra_class_diversity", "--device", "cpu")
    status, _, err = bench("evaluate", str(run), *metric, "--record")
    other.join()
    assert status == 0, err
    assert told.is_set()
    assert read_entries(run / "evaluation.jsonl")[-1]["metric"] == "intra_class_diversity"
