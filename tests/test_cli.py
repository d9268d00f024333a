"""Commands as they are typed, and what they print."""

import io
import json
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.commands.list_ import LISTED
from bench.data.blobs import Blobs
from bench.errors import DataMissing
from bench.process.worker import Worker
from tests.conftest import TINY
from tests.made_once import copy_tiny_sweep

RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu")


def snapshot(folder):
    """Return every file that must not depend on when or how often a sweep was run."""
    varying = ("provenance.json", "timings.jsonl", "timings.csv", "log.txt", "lock", ".pt")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(varying)
    }


def test_a_sweep_runs_and_a_second_time_does_nothing(bench, here):
    status, _, err = bench(*RUN)
    assert status == 0, err
    assert "4 finished" in err
    first = snapshot(here / "results")
    status, _, err = bench(*RUN)
    assert status == 0
    assert "nothing to do: all 4 runs are done" in err
    assert snapshot(here / "results") == first


def test_a_run_folder_holds_the_record(bench, here):
    secret = "title=of http://me:s3cret@host/x"
    assert bench(*RUN, "seeds=[0]", secret, "--checkpoint-seconds", "0")[0] == 0
    for folder in filter(Path.is_dir, (here / "results" / "tiny").iterdir()):
        names = {path.name for path in folder.iterdir()}
        assert {"config.json", "provenance.json", "rows.jsonl", "evaluation.jsonl"} <= names
        assert {"done", "model.pt", "samples.png", "cost.jsonl", "timings.jsonl"} <= names
        assert not {name for name in names if "partial" in name or "checkpoint" in name}
        assert json.loads((folder / "config.json").read_text())["id"] == folder.name
        origin = json.loads((folder / "provenance.json").read_text())
        words = "bench run tiny.yaml 'seeds=[0]' 'title=of http://***@host/x' --device cpu"
        assert origin["command"] == f"{words} --checkpoint-seconds 0.0"
        assert re.fullmatch("[0-9a-f]{64}", origin["data_fingerprint"])


def test_dry_run_starts_nothing_and_shows_the_matrix(bench, here):
    status, out, _ = bench("run", "tiny.yaml", "--dry-run")
    assert status == 0
    assert out.count("missing") == 5
    assert "time: unknown" in out
    assert not (here / "results").exists()
    bench(*RUN, "seeds=[0]")
    _, out, _ = bench("run", "tiny.yaml", "--dry-run")
    assert "2 done, 2 missing" in out
    assert "judging by earlier runs" in out


def test_a_metric_added_later_trains_nothing(bench, here):
    bench(*RUN, "seeds=[0]")
    weights = {p: p.stat().st_mtime_ns for p in here.glob("results/tiny/*/model.pt")}
    diversity = "base.metrics=[{name: intra_class_diversity, size: 192}]"
    status, _, err = bench(*RUN, "seeds=[0]", diversity)
    assert status == 0, err
    assert {p: p.stat().st_mtime_ns for p in here.glob("results/tiny/*/model.pt")} == weights
    assert "intra_class_diversity" in (here / "results" / "tiny" / "measurements.csv").read_text()


def test_a_run_of_another_sweep_is_copied(bench, here):
    bench(*RUN, "seeds=[0]")
    status, _, err = bench(*RUN, "seeds=[0, 1]", "name=other")
    assert status == 0
    assert err.count("copied from results/tiny/") == 2
    assert "4 finished" in err
    _, _, err = bench(*RUN, "seeds=[0, 1, 2]", "name=other")
    assert "2 finished, 4 kept" in err


def test_one_failed_run_does_not_stop_the_others(bench, here):
    rate = "{model: {name: cvae, width: 0.25}, optimizers: {default: {rate: 1e+30}}}"
    text = (here / "tiny.yaml").read_text()
    (here / "tiny.yaml").write_text(text.replace("variants:\n", f"variants:\n  wild: {rate}\n"))
    status, _, err = bench(*RUN)
    assert status == 1
    assert "2 failed, 4 finished" in err
    assert "for the reason, see results/tiny/" in err
    failed = next((here / "results").rglob("failed"))
    assert "was not finite at iteration" in failed.read_text()
    _, out, _ = bench("status", "tiny")
    assert "was not finite at iteration" in out
    status, _, err = bench(*RUN)  # failed runs are not tried again unless asked
    assert status == 1
    assert "2 failed, 4 kept" in err
    status, _, err = bench(*RUN, "--retry-failed", "variants.wild.optimizers.default.rate=1e-3")
    assert "nothing to do" not in err


def test_data_that_change_after_the_sweep_was_checked_are_noticed(bench, here, monkeypatch):
    bench(*RUN, "seeds=[0]")
    for done in here.glob("results/tiny/*/done"):
        done.unlink()
    real = Worker.context

    def other(self, run):
        context = real(self, run)
        return replace(context, data=replace(context.data, fingerprint="0" * 64))

    monkeypatch.setattr(Worker, "context", other)
    status, _, err = bench(*RUN, "seeds=[0]")
    assert status == 1
    assert "was trained on (fingerprint 000000000000, recorded " in err
    assert "; delete results/tiny/" in err


SEMI = ("base.unlabeled=blobs", "variants.cvae.model={name: lr_livae, width: 0.25}")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", "tiny.yaml", "variants.cvae.model.name=x"), "command line, variants.cvae.model"),
        (("run", "tinny.yaml"), "did you mean 'tiny.yaml'"),
        (("run", "tiny.yaml", "--device", "cuda:99"), "--device cuda:99"),
        (("run", "tiny.yaml", "base.data=mnist"), "mnist"),
        (("run", "tiny.yaml", "base.data={name: npz, path: nowhere.npz}"), "nowhere.npz"),
        (
            ("run", "tiny.yaml", "base.batch_size=9999"),
            "batch_size: 9999 is more than the 108 training examples of blobs (12 more are for "
            "validation, 30 for tests); set batch_size to at most 108 (cvae, seed 0)",
        ),
        (
            ("run", "tiny.yaml", *SEMI, "base.batch_size=999", "base.labeled_rows=900"),
            "labeled_rows: 900 is more than the 108 training examples of blobs (12 more are for "
            "validation, 30 for tests); set labeled_rows to at most 108 (cvae, seed 0)",
        ),
        (("check", "cvea"), "did you mean 'cvae'"),
        (("check", "cvae", "--data", "[digits]"), "--data: expected a name, or {name: ..."),
        (("report", "nothing"), "nothing"),
        (("status", "nothing"), "nothing"),
        (("report",), "there is nothing in results yet"),
        (("run", "tiny.yaml", "--device", "gpu", "--dry-run"), "'gpu' is not one of auto, cpu"),
        (("run", "tiny.yaml", "--threads", "1000000"), "not in the range 1<=x<=1024"),
        (("run", "tiny.yaml", "--jobs", "1000000"), "not in the range 1<=x<=1024"),
        (("run", "tiny.yaml", "--checkpoint-seconds", "nan"), "nan is not a number"),
        (("run", "tiny.yaml", "--checkpoint-seconds", "-1"), "not in the range"),
        (("run", "tiny.yaml", "title=a\x1bb"), "contains the control character '\\x1b'"),
        (("run", "tiny.yaml", "title=\udcff"), "is not UTF-8"),
        (("run", "a" * 5000), "unknown sweep '"),
        (("evaluate", "~nouser/x", "--data", "blobs"), "unknown file or folder 'x'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_cost_nothing(bench, here, words, text):
    status, _, err = bench(*words)
    assert status == 2, err
    assert "error: " in err.lower()
    assert text in err
    assert len(err) < 2000
    assert "Traceback" not in err
    assert not list(here.glob("results/*/*/config.json"))


def test_a_current_folder_that_was_deleted_is_named(bench, here, monkeypatch):
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    status, _, err = bench("compare", "a", "b")
    assert (status, err) == (2, "error: the current folder was deleted; go to another one\n")


def test_unwritable_results_are_named(bench, here):
    (here / "file").write_text("")
    status, _, err = bench("run", "tiny.yaml", "--results", "file/x")
    assert status == 2
    assert "cannot write results to" in err


def test_missing_data_is_tried_once_for_all_runs(bench, monkeypatch):
    loads = []

    def load(self):
        loads.append(self)
        raise DataMissing("no blobs")

    monkeypatch.setattr(Blobs, "load", load)
    status, _, err = bench("run", "tiny.yaml", "--no-mlflow")
    assert (status, len(loads)) == (2, 1)
    assert err.count("no blobs") == 1


def test_missing_data_is_said_before_anything_starts(bench):
    _, out, _ = bench("run", "tiny.yaml", "base.data=cifar10", "--dry-run")
    assert "note: " in out
    assert "cifar10" in out


@pytest.mark.parametrize("what", LISTED)
def test_list_prints_a_line_each(bench, what, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent)
    status, out, _ = bench("list", what)
    assert status == 0
    assert all(len(line.split(maxsplit=1)) == 2 for line in out.splitlines())
    assert (" [encode, classify, semi-supervised, sampling options: " in out) == (what == "models")


def test_check_passes_on_a_built_in_model(bench):
    status, out, _ = bench("check", "cvae")
    assert status == 0, out
    assert out.endswith("cvae: conforms\n")


def test_two_files_of_one_name_do_not_hide_each_others_runs(bench, here):
    bench(*RUN, "seeds=[0]", "base.iterations=1")
    other = (here / "tiny.yaml").read_text().replace("  cvae: ", "  another: ")
    (here / "other.yaml").write_text(other)
    for words in (("--dry-run",), ()):
        status, _, err = bench("run", "other.yaml", "--device", "cpu", *words)
        assert status == 2
        assert "results/tiny holds the runs of tiny.yaml, which has other variants (cvae)" in err
    other = (here / "tiny.yaml").read_text().replace("iterations: ", "clip_norm: 1, iterations: ")
    (here / "other.yaml").write_text(other)
    status, _, err = bench("run", "other.yaml", "--device", "cpu", "--dry-run")
    assert status == 2
    assert "runs of tiny.yaml, which has other settings of variants (cvae, lr_livae)" in err
    other = (here / "tiny.yaml").read_text().replace("seeds: [0, 1]", "seeds: [5]")
    (here / "other.yaml").write_text(other)
    words = ("base.iterations=1", "--device", "cpu", "--dry-run")
    status, _, err = bench("run", "other.yaml", *words)
    assert status == 2
    assert "which has other seeds of variants (cvae, lr_livae)" in err
    (here / "tiny.yaml").rename(here / "moved.yaml")
    assert bench("run", "other.yaml", "--device", "cpu", "--dry-run")[0] == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_output_degrades_with_the_encoding_of_the_terminal(monkeypatch, here, encoding):
    (here / "tiny.yaml").write_text(
        TINY.replace("name: tiny", "name: tiny\ntitle: ü → ─ 日"), "utf-8"
    )
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding=encoding) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(SystemExit) as end:
            main(["run", "tiny.yaml", "--dry-run"])
        stream.flush()
        text = buffer.getvalue().decode("utf-8" if encoding == "ascii" else encoding)
    assert not end.value.code
    expected = (
        "> - \\u65e5" if encoding in ("latin-1", "cp1252") else "→ ─ 日"
    )  # click: ascii is UTF-8
    assert f"ü {expected}" in text.splitlines()[0]


def test_errors_that_are_not_the_users_show_their_traceback(bench, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("bench.spec.sweep_file.load_sweep", broken)
    with pytest.raises(ZeroDivisionError):
        bench("run", "tiny.yaml")


def test_help_is_instant():
    best = min(_seconds([sys.executable, "-m", "bench", "--help"]) for _ in range(3))
    assert best < 0.5


def _seconds(command):
    """Return the processor time of a command, which other processes do not change much."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def test_a_sweep_is_found_by_name_in_all_folders_the_own_one_first(bench, here):
    Path("sweeps").mkdir()
    shutil.copy("tiny.yaml", "sweeps/mine.yaml")
    assert bench("run", "mine", "--dry-run")[0] == bench("run", "quickstart", "--dry-run")[0] == 0
    listed = bench("list", "sweeps")[1]
    assert "sweeps/mine.yaml" in listed
    assert "sweeps/quickstart.yaml" in listed
    shutil.copy("tiny.yaml", "sweeps/quickstart.yaml")
    assert bench("run", "quickstart", "--dry-run")[1].startswith("tiny: ")


def test_run_and_tune_know_the_files_of_each_other(bench):
    assert "tune.yaml: this is a tuning file; use `bench tune`" in bench("run", "tune")[2]
    assert "quickstart.yaml: this is a sweep; use `bench run`" in bench("tune", "quickstart")[2]
    assert " tune" not in bench("run", "nothing like it")[2].partition("known: ")[2]
    assert bench("tune", "nothing like it")[2].endswith("known: tune\n")


@pytest.mark.parametrize("name", ["quikstart", "quickstart.yaml"])
def test_a_sweep_that_is_not_there_suggests_those_that_ship(bench, name):
    status, _, err = bench("run", name)
    assert status == 2
    assert f"unknown sweep '{name}' (did you mean 'quickstart'?); known: " in err
    assert "tiny.yaml" in err


def test_the_home_folder_is_meant_by_a_tilde_in_quotes(bench, here, monkeypatch):
    copy_tiny_sweep(here / "home")
    monkeypatch.setenv("HOME", str(here / "home"))
    monkeypatch.setenv("BENCH_RESULTS", "~/results")
    assert bench("report", "tiny", "--to", "~/tables")[0] == 0
    assert list((here / "home" / "tables").iterdir())
    assert not (here / "~").exists()
