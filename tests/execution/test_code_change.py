"""Results of other code are used only where that is allowed."""

import json
import shutil

import pytest

from bench.execution import source_files
from bench.record.run_folder import arriving, remove_partial

RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu", "seeds=[0]")
TRAINER, METRIC = "bench/training/passes.py", "bench/metrics/class_accuracy.py"
ACCURACY = "base.metrics=[class_accuracy]"


@pytest.fixture
def edit(monkeypatch):
    """Make it look as if a source file had been edited since."""
    read = source_files._read

    def edit(*files):
        def changed(path, module):
            digits, imported = read(path, module)
            is_edited = any(str(path).endswith(file) for file in files)
            return ("0123456789ab" if is_edited else digits), imported

        monkeypatch.setattr(source_files, "_read", changed)

    return edit


def runs(here, sweep="tiny"):
    return sorted(path.parent for path in here.glob(f"results/{sweep}/*/model.pt"))


def origin(folder):
    return json.loads((folder / "provenance.json").read_text())


def times(here):
    return [path.stat().st_mtime_ns for path in sorted(here.glob("results/tiny/*/model.pt"))]


def test_results_of_other_code_are_refused_before_anything_starts(bench, here, edit):
    bench(*RUN, ACCURACY)
    edit(TRAINER)
    before = times(here)
    status, _, err = bench(*RUN[:-1], "seeds=[0, 1]", ACCURACY)
    assert status == 2
    assert "results/tiny holds results of other code than this" in err
    assert "2 runs (results/tiny/" in err
    assert f"changed since, of what they learned by: {TRAINER}" in err
    assert "--allow-code-change uses them as they are" in err
    assert "name=ANOTHER" in err
    assert times(here) == before, "nothing was started"
    status, out, plan = bench(*RUN, ACCURACY, "--dry-run")
    assert status == 2
    assert "2 done" in out
    assert "changed since, of what they learned by" in plan
    status, _, err = bench(*RUN[:-1], "seeds=[0, 1]", ACCURACY, "--allow-code-change")
    assert status == 0, err
    assert "note: used although the code has changed since:" in err
    assert "2 finished, 2 kept" in err
    _, out, _ = bench("report", "tiny")
    assert "made by different versions of the code:" in out
    assert f"{TRAINER} 01234567" in out
    status, _, err = bench(*RUN, "name=anew")
    assert status == 0, err
    assert f"not copied from {runs(here)[0].relative_to(here)}: changed since: {TRAINER}" in err


def test_editing_what_cannot_change_a_figure_changes_nothing(bench, here, edit):
    bench(*RUN)
    edit("bench/reporting/tables/build.py", "bench/execution/run_sweep.py", "baselines/cgan.py")
    _, _, err = bench(*RUN)
    assert "nothing to do: all 2 runs are done" in err


def test_a_changed_metric_is_told_apart_and_measures_again_where_done_is_deleted(bench, here, edit):
    bench(*RUN, ACCURACY)
    edit(METRIC)
    status, _, err = bench(*RUN, ACCURACY)
    assert status == 2
    assert f"changed since, of what measured them: {METRIC}" in err
    assert "delete `done` in their folders to measure them again" in err
    assert "name=ANOTHER" not in err
    before = times(here)
    for done in here.glob("results/tiny/*/done"):
        done.unlink()
    status, _, err = bench(*RUN, ACCURACY)
    assert status == 0, err
    assert times(here) == before, "nothing was trained again"
    (continued,) = origin(runs(here)[0])["continued"]
    assert continued["sources"]["evaluation"][METRIC] == "0123456789ab"
    assert "training" not in continued["sources"]
    assert "nothing to do" in bench(*RUN, ACCURACY)[2]


def test_another_choice_of_metrics_needs_no_permission(bench, here, edit):
    bench(*RUN)
    edit(METRIC)
    status, _, err = bench(*RUN, ACCURACY)
    assert status == 0, err


def test_a_failed_run_that_is_tried_again_says_what_made_it(bench, here, edit):
    bench(*RUN)
    for folder in runs(here):
        (folder / "failed").write_text("a defect\n")
        (folder / "model.pt").unlink()
    edit(TRAINER)
    status, _, err = bench(*RUN)
    assert status == 1, "it is left alone, so nothing is refused"
    status, _, err = bench(*RUN, "--retry-failed")
    assert status == 0, err
    held = origin(runs(here)[0])
    assert held["sources"]["training"][TRAINER] == "0123456789ab"
    assert "continued" not in held


def test_records_without_sources_are_used_with_a_note(bench, here, edit):
    bench(*RUN)
    for folder in runs(here):
        held = origin(folder)
        del held["sources"]
        (folder / "provenance.json").write_text(json.dumps(held))
    edit(TRAINER)
    status, _, err = bench(*RUN)
    assert status == 0
    assert "whose code was not recorded; whether it was this code is not known" in err
    assert "nothing to do" in err


def test_a_run_at_which_another_process_is_at_work_is_not_copied(bench, here):
    from bench.record.run_folder import RunFolder

    bench(*RUN)
    with RunFolder(runs(here)[0]).locked():
        _, _, err = bench(*RUN, "name=other")
    assert err.count("copied from results/tiny/") == 1
    assert len(runs(here, "other")) == 2


def test_a_copy_is_there_whole_or_not_at_all(tmp_path):
    with pytest.raises(FileNotFoundError), arriving(tmp_path / "run") as partial:
        shutil.copy(tmp_path / "nowhere", partial)
    assert not list(tmp_path.iterdir())
    with arriving(tmp_path / "run") as partial:
        shutil.copytree(partial, tmp_path / f"{partial.name.removesuffix('.partial')}-dead.partial")
        remove_partial(tmp_path)  # another driver starts
        assert [path.name for path in tmp_path.iterdir()] == [partial.name], "one is left behind"
        (partial / "model.pt").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_provenance_says_all_that_changes_last_digits(bench, here, monkeypatch):
    monkeypatch.setattr("bench.record.provenance.VARIABLES", ("CUBLAS_WORKSPACE_CONFIG",))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    bench(*RUN, ACCURACY, "--threads", "1", "--results", "two words")
    held = origin(next((here / "two words").glob("tiny/*/model.pt")).parent)
    assert held["command"] == (
        "bench run tiny.yaml 'seeds=[0]' 'base.metrics=[class_accuracy]' --results 'two words' "
        "--device cpu --threads 1"
    )
    assert {"torch", "numpy", "scipy", "torch-fidelity"} <= set(held["versions"])
    assert {"deterministic", "matmul_precision", "cpu_capability"} <= set(held["flags"])
    assert held["variables"] == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert held["threads"] == 1
    assert set(held["sources"]) == {"training", "evaluation"}
    real = next((here / "two words").glob("tiny/real-*/provenance.json"))
    assert set(json.loads(real.read_text())["sources"]) == {"evaluation", "controls"}


def test_snapshots_are_measured_again_where_the_end_is(bench, here, edit):
    bench(*RUN, ACCURACY, "base.snapshots=2")
    measured = sorted(here.glob("results/tiny/*/snapshots/*/evaluation.jsonl"))
    before = [path.stat().st_mtime_ns for path in measured]
    edit(METRIC)
    for done in here.glob("results/tiny/*/done"):
        done.unlink()
    bench(*RUN, ACCURACY, "base.snapshots=2")
    assert len(before) == 2
    assert all(path.stat().st_mtime_ns > then for path, then in zip(measured, before, strict=True))


def test_controls_of_other_code_are_refused_too(bench, here, edit):
    bench(*RUN, ACCURACY)
    edit("bench/evaluation/controls.py")
    status, _, err = bench(*RUN, ACCURACY)
    assert status == 2
    assert "1 run (results/tiny/real-" in err
    assert "changed since, of what measured them: bench/evaluation/controls.py" in err
