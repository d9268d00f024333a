"""Results of another model, data set or metric are used only where that is allowed."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from bench.execution import source_files
from bench.record.jsonl import read_entries
from bench.record.run_folder import RunFolder, arriving, remove_partial

RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu", "seeds=[0]")
DIVERSITY = "base.metrics=[intra_class_diversity_native]"
MEASURED = (*RUN, DIVERSITY)
MODEL, DATA, METRIC, CONTROLS, HARNESS = (
    "baselines/cvae.py",
    "bench/data/blobs.py",
    "bench/metrics/ms_ssim_native.py",
    "bench/evaluation/controls.py",
    "bench/training/passes.py",
)


@pytest.fixture(autouse=True)
def two_models(here):
    models = (here / "tiny.yaml").read_text().split("  lr_livae:")[0]
    (here / "tiny.yaml").write_text(models + "  cgan: {model: {name: cgan, width: 0.25}}\n")


@pytest.fixture
def edit(monkeypatch):
    """Make it look as if a line had been added to source files, and a string replaced in them."""
    source_files._file.cache_clear()
    source_files._read.cache_clear()
    read_text = Path.read_text

    def edit(*files, line="edited = True", replace=("", "")):
        def edited(path, *how, **more):
            text = read_text(path, *how, **more)
            if any(str(path).endswith(file) for file in files):
                assert replace[0] in text
                text = text.replace(*replace) + f"\n{line}\n"
            return text

        monkeypatch.setattr(Path, "read_text", edited)
        source_files._read.cache_clear()

    yield edit
    source_files._read.cache_clear()


def runs(here, sweep="tiny"):
    return sorted(path.parent for path in here.glob(f"results/{sweep}/*/model.pt"))


def origin(folder):
    return json.loads((folder / "provenance.json").read_text())


def change_origins(here, change):
    for folder in here.glob("results/tiny/*/provenance.json"):
        folder.write_text(json.dumps(change(json.loads(folder.read_text()))))


def times(here):
    return [path.stat().st_mtime_ns for path in sorted(here.glob("results/tiny/*/model.pt"))]


@pytest.mark.parametrize(
    ("file", "kept", "remedy"),
    [
        (MODEL, "1 run (results/tiny/", "to keep both, set name=ANOTHER; to replace"),
        (DATA, "3 runs (results/tiny/", "to keep both, set name=ANOTHER; to replace"),
        (METRIC, "3 runs (results/tiny/", "to evaluate them again, delete `done` in their folders"),
        (CONTROLS, "1 run (results/tiny/real-", "to evaluate them again, delete `done`"),
    ],
    ids=["model", "data", "metric", "control"],
)
def test_another_experiment_is_refused_before_anything_starts(
    bench, here, already, edit, file, kept, remedy
):
    already(*MEASURED)
    edit(file)
    before = times(here)
    status, _, err = bench(*RUN[:-1], "seeds=[0, 1]", DIVERSITY)
    assert status == 2
    assert "results/tiny holds results made by other code of a model, data set or metric" in err
    assert f"  {kept}" in err
    assert f"changed since: {file}; {remedy}" in err
    assert "--allow-code-change uses them as they are" in err
    assert ("name=ANOTHER" in err) == (file in (MODEL, DATA))
    assert times(here) == before, "nothing was started"
    status, out, plan = bench(*MEASURED, "--dry-run")
    assert status == 2
    assert "2 done" in out
    assert f"changed since: {file}" in plan


@pytest.mark.parametrize(
    ("file", "options", "note", "copied"),
    [
        (MODEL, ["--allow-code-change"], "note: used although the code has changed since:", 1),
        (HARNESS, [], r"note: 3 runs \(.*\) kept; the harness has changed since: " + HARNESS, 2),
    ],
    ids=["model", "harness"],
)
def test_results_of_other_code_are_used_with_a_note_and_tables_say_so(
    bench, already, edit, file, options, note, copied
):
    already(*MEASURED)
    edit(file)
    status, _, err = bench(*RUN[:-1], "seeds=[0, 1]", DIVERSITY, *options)
    assert status == 0, err
    [line] = [line for line in err.splitlines() if line.startswith("note:")]
    assert re.fullmatch(note, line)
    assert "2 finished, 2 kept" in err
    _, out, _ = bench("report", "tiny")
    assert "made by different versions of the code:" in out
    assert len(set(re.findall(rf"\({file} ([0-9a-f]{{8}})\)", out))) == 2
    status, _, err = bench(*RUN, "name=other")
    assert status == 0, err
    assert err.count("  copied from results/tiny/") == copied
    assert err.count("  not copied from results/tiny/") == 2 - copied, "that model is another one"
    assert err.count(f"changed since: {file}") == 2 - copied
    assert err.count(": the same run, by another version of the harness") == 2 * (file == HARNESS)


def moved(origin):
    """Let all source files of a record have been elsewhere."""
    for files in origin["sources"].values():
        for name in list(files):
            files[f"elsewhere/{name}"] = files.pop(name)
    return origin


@pytest.mark.parametrize(
    "change",
    [
        lambda edit, here: edit("bench/execution/run_sweep.py"),
        lambda edit, here: edit("bench/reporting/tables/build.py"),
        lambda edit, here: edit("baselines/csvae.py"),
        lambda edit, here: edit(MODEL, line='"""A docstring."""  # and a comment'),
        lambda edit, here: edit(METRIC, line="import torch"),
        lambda edit, here: edit("bench/data/splits.py", line="", replace=("has no test", "lacks")),
        lambda edit, here: change_origins(here, moved),
    ],
    ids=["sweep", "table", "other model", "docstring", "import", "message", "moved"],
)
def test_what_cannot_change_a_result_is_no_change(bench, here, already, edit, change):
    already(*MEASURED)
    change(edit, here)
    _, _, err = bench(*MEASURED)
    assert "note" not in err
    assert "nothing to do: all 2 runs are done" in err


def test_deleting_done_measures_again_without_training(bench, here, already, edit):
    already(*MEASURED)
    edit(METRIC)
    before = times(here)
    for done in here.glob("results/tiny/*/done"):
        done.unlink()
    status, _, err = bench(*MEASURED)
    assert status == 0, err
    assert times(here) == before, "nothing was trained again"
    held = origin(runs(here)[0])
    (continued,) = held["continued"]
    assert continued["sources"].keys() == {"model", "metrics", "harness"}
    assert continued["sources"]["metrics"][METRIC] != held["sources"]["metrics"][METRIC]
    assert "nothing to do" in bench(*MEASURED)[2]


def test_another_choice_of_metrics_needs_no_permission(bench, already, edit):
    already(*RUN)
    edit(METRIC)
    status, _, err = bench(*MEASURED)
    assert status == 0, err


def test_a_failed_run_that_is_tried_again_says_what_made_it(bench, here, already, edit):
    already(*RUN)
    before = origin(runs(here)[0])["sources"]
    for folder in runs(here):
        (folder / "failed").write_text("a defect\n")
        (folder / "model.pt").unlink()
    edit(MODEL, "models/blocks.py")
    status, _, err = bench(*RUN)
    assert status == 1, "it is left alone, so nothing is refused"
    status, _, err = bench(*RUN, "--retry-failed")
    assert status == 0, err
    held = origin(runs(here)[0])
    assert held["sources"]["model"] != before["model"]
    assert "continued" not in held


def test_weights_from_which_other_code_draws_are_said_in_tables(bench, here, already, edit):
    already(*MEASURED)
    for folder in runs(here):
        (folder / "done").unlink()
        (folder / "failed").write_text("a defect of the metric\n")
    edit(MODEL, "baselines/cgan.py")
    status, _, err = bench(*MEASURED, "--retry-failed", "--allow-code-change")
    assert status == 0, err
    for folder in runs(here):
        held = origin(folder)
        assert held["sources"]["model"] != held["continued"][0]["sources"]["model"]
    _, out, _ = bench("report", "tiny")
    assert "Runs on Blobs were made by different versions of the code:" in out
    for file in (MODEL, "baselines/cgan.py"):
        assert len(set(re.findall(rf"{file} ([0-9a-f]{{8}})", out))) == 2


def test_what_another_version_of_the_model_drew_is_measured_again_by_its_own(
    bench, here, already, edit
):
    already(*RUN)
    edit(MODEL)
    assert bench(*MEASURED, "--allow-code-change")[0] == 0
    edit()
    status, _, err = bench(*MEASURED)
    assert status == 2
    assert re.search(
        rf"1 run \(.*\) by .*; changed since: {MODEL}; to evaluate them again, delete `done`", err
    )
    before = times(here)
    for folder in runs(here):
        (folder / "done").unlink()
    status, _, err = bench(*MEASURED)
    assert status == 0, err
    assert times(here) == before, "nothing was trained again"
    assert "nothing to do" in bench(*MEASURED)[2], "what the other version drew is gone"
    assert "different versions" not in bench("report", "tiny")[1]


def test_sampling_rows_of_other_code_are_refused_and_not_copied(bench, here, already, edit):
    already(*MEASURED)
    rows = (*MEASURED, "variants.cgan.sampling={near: {truncation: 0.5}}")
    edit("baselines/cgan.py")
    assert bench(*rows, "--allow-code-change")[0] == 0
    edit()
    status, _, err = bench(*rows)
    assert status == 2
    assert "changed since: baselines/cgan.py; to evaluate them again, delete `done`" in err
    status, _, err = bench(*rows, "name=other")
    assert status == 0, err
    (row,) = here.glob("results/other/*/sampling/*/done")
    left_out = f": the same run, without rows of other code: {row.parent.name}\n"
    assert (err.count(": the same run\n"), err.count(left_out)) == (1, 1), err
    (folder,) = (path for path in runs(here) if (path / "sampling").exists())
    (folder / "done").unlink()
    assert bench(*rows)[0] == 0
    pair = [
        (path / "sampling" / row.parent.name / "samples.npz").read_bytes()
        for path in (folder, row.parents[2])
    ]
    assert pair[0] == pair[1]
    assert "nothing to do" in bench(*rows)[2]


def test_weights_that_do_not_fit_changed_code_keep_what_was_measured(bench, here, already, edit):
    already(*RUN)
    (folder,) = (path for path in runs(here) if MODEL in str(origin(path)["sources"]["model"]))
    whole, measured = ((folder / name).read_bytes() for name in ("model.pt", "evaluation.jsonl"))
    state = torch.load(folder / "model.pt")
    torch.save(
        {name: weights.flatten()[:0] for name, weights in state.items()}, folder / "model.pt"
    )
    edit(MODEL)
    status, _, err = bench(*MEASURED, "--allow-code-change")
    assert status == 1
    assert f"{folder.relative_to(here)}/model.pt does not fit the model as its code is now" in err
    assert f"changed since it was trained: {MODEL}; " in err
    assert "keeps what was measured before" in err
    assert "delete it" not in err, "which would cost the weights"
    assert (folder / "evaluation.jsonl").read_bytes() == measured
    assert RunFolder(folder).status().state == "done"
    edit()
    (folder / "model.pt").write_bytes(whole)
    status, _, err = bench(*MEASURED)
    assert status == 0, err


def test_records_that_cannot_be_compared_are_used_with_a_note(bench, here, already, edit):
    already(*MEASURED)
    change_origins(here, lambda held: {})
    edit(MODEL)
    status, _, err = bench(*MEASURED)
    assert status == 0
    [note] = [line for line in err.splitlines() if line.startswith("note:")]
    assert note.startswith("note: 3 runs (results/tiny/")
    assert note.endswith("kept; it is not known whether the code is the same")
    assert "nothing to do" in err


def test_a_run_at_which_another_process_is_at_work_is_not_copied(bench, here, already):
    already(*RUN)
    with RunFolder(runs(here)[0]).locked():
        _, _, err = bench(*RUN, "name=other")
    assert err.count("copied from results/tiny/") == 1
    assert len(runs(here, "other")) == 2


def test_a_copy_is_there_whole_or_not_at_all(here):
    sweep = here / "sweep"
    with pytest.raises(FileNotFoundError), arriving(sweep / "run") as partial:
        shutil.copy(here / "nowhere", partial)
    assert not list(sweep.iterdir())
    with arriving(sweep / "run") as partial:
        shutil.copytree(partial, sweep / f"{partial.name.removesuffix('.partial')}-dead.partial")
        remove_partial(sweep)  # another command starts
        assert list(sweep.glob(".*.partial")) == [partial], "one is left behind"
        (partial / "model.pt").touch()
    assert [path.name for path in sweep.iterdir()] == ["run"]


def test_provenance_says_all_that_changes_last_digits(bench, here, monkeypatch):
    monkeypatch.setattr("bench.record.provenance.VARIABLES", ("CUBLAS_WORKSPACE_CONFIG",))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    bench(*MEASURED, "--threads", "1", "--results", "two words")
    held = origin(next((here / "two words").glob("tiny/*/model.pt")).parent)
    assert held["command"] == (
        "bench run tiny.yaml 'seeds=[0]' 'base.metrics=[intra_class_diversity_native]' "
        "--results 'two words' --device cpu --threads 1"
    )
    assert {"torch", "numpy", "scipy", "torch-fidelity"} <= set(held["versions"])
    assert {"deterministic", "matmul_precision", "cpu_capability"} <= set(held["flags"])
    assert held["variables"] == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert held["threads"] == 1
    assert held["sources"].keys() == {"model", "data", "metrics", "harness"}
    real = origin(next((here / "two words").glob("tiny/real-*")))
    assert real["sources"].keys() == {"data", "metrics", "controls", "harness"}


@pytest.mark.parametrize("file", [METRIC, "bench/evaluation/measuring.py"])
def test_snapshots_are_measured_again_where_the_end_is(bench, here, already, edit, file):
    snapshots = (*MEASURED, "base.snapshots=2")
    already(*snapshots)
    measured = sorted(here.glob("results/tiny/*/snapshots/*/evaluation.jsonl"))
    before = [path.stat().st_mtime_ns for path in measured]
    edit(file)
    for done in here.glob("results/tiny/*/done"):
        done.unlink()
    bench(*snapshots)
    assert len(before) == 2
    assert all(path.stat().st_mtime_ns > then for path, then in zip(measured, before, strict=True))


def test_changed_metrics_do_not_replace_what_a_sweep_asked_for(bench, here, edit):
    assert bench(*MEASURED)[0] == 0
    run = runs(here)[0]
    before = (run / "evaluation.jsonl").read_bytes()
    record = ("evaluate", str(run), "--device", "cpu", "--record", "--metric")
    assert bench(*record, "intra_class_diversity_native")[0] == 0
    assert (run / "evaluation.jsonl").read_bytes() == before
    edit(METRIC)
    status, out, err = bench(*record, "intra_class_diversity_native")
    assert (status, out) == (2, "")
    assert f"'intra_class_diversity_native' has changed since {run} was measured (" in err
    assert METRIC in err
    status, _, err = bench(*record, "within_class_variance")  # which the sweep did not ask for
    assert status == 0, err


def test_rows_of_bench_evaluate_tell_which_code_of_a_metric_measured_them(bench, here, edit):
    assert bench(*RUN, "base.metrics=[class_accuracy]", "seeds=[0, 1]")[0] == 0
    first, second = [run for run in runs(here) if "cvae" in (run / "config.json").read_text()]
    measure = ("evaluate", "--device", "cpu", "--metric", "intra_class_diversity_native")
    kept = ("--name", "kept")
    assert bench(*measure, str(first), *kept)[0] == bench(*measure, str(first), "--record")[0] == 0
    of_first = bench("report")[1]
    assert "versions of the metric's code" not in of_first
    edit(METRIC)
    assert bench(*measure, str(second), *kept)[0] == 0
    assert bench(*measure, str(second), "--record")[0] == 0
    text = " ".join(bench("report")[1].split())
    assert (
        "measured by different versions of the metric's code; do not compare or average them:"
        in text
    )
    seeds = [
        json.loads((run / "config.json").read_text())["config"]["seed"] for run in (first, second)
    ]
    codes = [read_entries(run / "evaluation.jsonl")[-1]["added"] for run in (first, second)]
    assert codes[0] != codes[1]
    for code, seed, more in zip(codes, seeds, ("", "real test images"), strict=True):
        [line] = [x for x in bench("report")[1].splitlines() if f"- {code}: " in x]
        assert f"cVAE (seed {seed})" in line
        assert f"kept (seed {seed})" in line
        assert more in line
    assert bench("publish", "evaluations", "--to", "published")[0] == 0
    published = bench("report", "evaluations", "--results", "published")[1]
    assert f"- {codes[0]}: kept (seed {seeds[0]})" in published
    assert f"- {codes[1]}: real test images; kept (seed {seeds[1]})" in published
