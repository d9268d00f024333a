"""Rows of other sampling options: drawn from the same weights, in folders of their own."""

import json
import re
import shutil

import numpy as np
import pytest

from bench.evaluation import measuring
from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.run_folder import RunFolder
from bench.record.sweep_folder import read_sweep

RUN = ("run", "one.yaml", "--no-mlflow", "--device", "cpu")
ONE = """\
name: tiny
base:
  model: {name: cgan, width: 0.25, latent: 4}
  data: blobs
  iterations: 2
  batch_size: 16
  samples_per_class: 3
  metrics: [intra_class_diversity, leakage]
  sampling:
    near: {truncation: 0.5}
seeds: [0]
"""
NEARER = "base.sampling.nearer.truncation=0.1"
FAR = "base.sampling.far.truncation=9.0"


@pytest.fixture(autouse=True)
def one_run(here):
    (here / "one.yaml").write_text(ONE)


def run_folder(here, results="results"):
    (config,) = (here / results / "tiny").glob("[0-9a-f]*/config.json")
    return RunFolder(config.parent)


def rows(here, results="results"):
    _, runs = read_sweep(here / results / "tiny")
    return {run.variant: run for run in runs if not run.is_control}


def diversity(folder):
    entries = {entry["metric"]: entry["value"] for entry in read_jsonl(folder / "evaluation.jsonl")}
    return entries["intra_class_diversity"]


def written(folder):
    """Return when each file that belongs to measurements was written."""
    kept = ("model.pt", "evaluation.jsonl", "samples.npz", "done")
    files = [path for path in folder.rglob("*") if path.name in kept]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files}


def test_a_row_is_what_bench_evaluate_draws_and_adding_one_measures_that_one_alone(bench, here):
    status, _, err = bench(*RUN)
    assert (status, "another command" in err) == (0, False), err
    assert (here / "results/tiny/finished.json").exists()
    folder = run_folder(here)
    first, before = rows(here), written(folder.path)
    assert [(run.state, dict(run.sampling)) for run in first.values()] == [
        ("done", {"truncation": None}),
        ("done", {"truncation": 0.5}),
    ]
    plain, near = (diversity(run.path) for run in first.values())
    assert plain != near
    options = ("--metric", "intra_class_diversity", "--device", "cpu", "--json")
    given = ("evaluate", str(folder.path), "--sampling", "{truncation: 0.5}")
    status, out, err = bench(*given, *options)
    assert status == 0, err
    assert json.loads(out)["measurements"][0]["value"] == near
    assert json.loads(out)["origin"]["sampling"] == {"truncation": 0.5}
    kept = np.load(first["cgan, near"].path / "samples.npz")["x"]
    assert not np.array_equal(kept, np.load(folder.path / "samples.npz")["x"])

    assert bench(*RUN, NEARER)[0] == 0
    assert list(rows(here)) == ["cgan", "cgan, near", "cgan, nearer"]
    assert {name: written(folder.path)[name] for name in before} == before
    status, out, _ = bench("report", "tiny")
    assert all(f"\n{name} " in out for name in rows(here) if ", " in name)
    assert "  - truncation 0.1: cgan, nearer\n" in out
    assert "Runs: 1 of 1 done" in out


def test_a_row_that_fails_costs_no_other_and_is_tried_again_alone(bench, here, monkeypatch):
    draw = measuring.draw_samples

    def failing(model, spec, per_class, seed, device, sampling):
        if sampling.get("truncation") == 0.5:
            raise RuntimeError("too near")
        return draw(model, spec, per_class, seed, device, sampling)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "draw_samples", failing)
        status, _, err = bench(*RUN, NEARER)
    assert status == 1
    assert "too near" in err
    assert {name: run.state for name, run in rows(here).items()} == {
        "cgan": "done",
        "cgan, near": "failed",
        "cgan, nearer": "done",
    }
    before = written(run_folder(here).path)
    assert bench(*RUN, NEARER)[0] == 1
    assert "failed: RuntimeError: too near" in bench("status")[1]
    status, _, err = bench(*RUN, NEARER, "--retry-failed")
    assert status == 0, err
    assert {name: written(run_folder(here).path)[name] for name in before} == before


def test_a_killed_row_is_made_again_and_the_run_is_not(bench, here):
    assert bench(*RUN)[0] == 0
    folder = run_folder(here).path
    (row,) = (folder / "sampling").iterdir()
    before, kept = written(folder), (row / "evaluation.jsonl").read_bytes()
    (row / "done").unlink()
    (row / "evaluation.jsonl").unlink()
    out = bench(*RUN, "--dry-run")[1]
    assert "1 trained" in out
    assert "cgan, near: unfinished, drawn from its weights" in out
    assert bench(*RUN)[0] == 0
    assert (row / "evaluation.jsonl").read_bytes() == kept
    own = [name for name in before if not name.startswith("sampling")]
    assert {name: written(folder)[name] for name in own} == {name: before[name] for name in own}


def test_a_row_of_a_run_without_weights_says_so_and_the_run_stays(bench, here):
    assert bench(*RUN)[0] == 0
    run_folder(here).model.unlink()
    status, _, err = bench(*RUN, NEARER)
    assert (status, "holds no weights to draw from" in err) == (1, True), err
    assert [run.state for run in rows(here).values()] == ["done", "done", "failed"]


def test_what_is_measured_again_takes_its_rows_with_it(bench, here):
    assert bench(*RUN)[0] == 0
    folder = run_folder(here).path
    before = written(folder)
    (folder / "done").unlink()
    assert bench(*RUN)[0] == 0
    assert [name for name, time in written(folder).items() if time == before[name]] == ["model.pt"]


def test_other_code_that_drew_a_row_is_named_where_it_differs(bench, here):
    assert bench(*RUN)[0] == 0
    near = rows(here)["cgan, near"].path
    entries = read_jsonl(near / "evaluation.jsonl")
    write_jsonl(near / "evaluation.jsonl", [entry | {"value": 1e9} for entry in entries])
    origin = json.loads((near / "provenance.json").read_text())
    origin["sources"]["model"]["baselines/cgan.py"] = "other"
    (near / "provenance.json").write_text(json.dumps(origin))
    verify = ("verify", "tiny", "--device", "cpu")
    status, out, err = bench(*verify, "--measurements")
    assert status == 1, err
    assert re.search(rf"\n +sampling/{near.name}: code, .* then: baselines/cgan.py\n", out), out
    assert "are the same as then" not in out
    assert "sampling/" not in bench(*verify)[1], "the row is not compared"


def test_rows_are_verified_exported_imported_and_published(bench, here):
    assert bench(*RUN, FAR)[0] == 0
    status, out, err = bench("verify", "tiny", "--measurements", "--device", "cpu")
    assert status == 0, err
    assert out.count("bit-identical") == 4
    assert "measurements with truncation 0.5: all" in out
    assert bench("export", "tiny", "--to", "tiny.tar.gz")[0] == 0
    assert bench("import", "tiny.tar.gz", "--results", "there")[0] == 0
    report = bench("report", "tiny")[1]
    assert bench("report", "tiny", "--results", "there")[1] == report
    shutil.rmtree(rows(here, "there")["cgan, far"].path)
    assert bench("import", "tiny.tar.gz", "--results", "there")[0] == 0
    assert bench("report", "tiny", "--results", "there")[1] == report
    status, _, err = bench("publish", "tiny", "--results", "there", "--to", "published")
    assert status == 0, err
    assert bench("report", "tiny", "--results", "published")[1] == report


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (
            "{a: {sampling: {b: {truncation: 1.0}}}, 'a, b': {iterations: 3}}",
            "addition to 'b' of 'a'",
        ),
        ("{'a, near': {}, a: {iterations: 3}}", "'near' of 'a' would be a second row 'a, near'"),
        (f"{{a: {{sampling: {{{'n' * 199}: {{truncation: 1.0}}}}}}}}", "characters"),
    ],
)
def test_a_name_that_another_row_has_is_refused(bench, here, variants, message):
    (here / "one.yaml").write_text(ONE + f"variants: {variants}\n")
    status, _, err = bench(*RUN)
    assert (status, message in err) == (2, True), err
