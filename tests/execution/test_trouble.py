"""What a person reads when the machine lets them down, and what is left of the sweep."""

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.errors import DeviceLost
from bench.execution import run_sweep
from bench.process.worker import Worker
from bench.record.files import refuse_unwritable
from bench.record.run_folder import RunFolder
from bench.training.trainer import Trainer
from tests.execution.sweeps import csv

pytestmark = pytest.mark.usefixtures("small_models")

ONE = "seeds=[0]"
RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu", "--checkpoint-seconds", "0", ONE)


@pytest.fixture
def finished(already, here):
    """Return the folders of a sweep of two finished runs, cvae first, and its measurements."""
    already(*RUN)
    plan = json.loads((here / "results" / "tiny" / "sweep.json").read_text())
    runs = [Path("results/tiny") / run["id"] for run in plan["runs"]]
    return runs, csv(here / "results" / "tiny")


def stopped_half_way(bench, monkeypatch, *words):
    """Let the first run stop after its eighth iteration."""
    iterate = Trainer.iterate

    def stop(self, step):
        if step == 8:
            raise KeyboardInterrupt
        iterate(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "iterate", stop)
        assert bench(*RUN, *words)[0] == 130


@pytest.fixture
def small_disk(here):
    """Put a disk of four megabytes in the place of the results."""
    (here / "results").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", "results"]
    if subprocess.run(mount, cwd=here, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield here / "results"
    subprocess.run(["umount", "results"], cwd=here, check=True)


def test_a_full_disk_is_said_once_and_the_same_command_goes_on(bench, small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4 * 2**20 - 70_000))
    status, _, err = bench(*RUN)
    assert status == 1, err
    assert "2 failed; results in results/tiny" in err
    last = err.splitlines()[-1]
    assert last.startswith("reason: No space left on device: results/tiny/")
    assert "; free some space there; to retry: bench run tiny.yaml --no-mlflow" in last
    assert "--retry-failed" not in last
    assert "Traceback" not in err
    assert "Logging error" not in err
    assert not [path for path in small_disk.rglob("*") if "partial" in path.name]
    ballast.unlink()
    status, _, err = bench(*RUN)
    assert status == 0, err
    assert "2 finished" in err


def test_the_probe_tells_the_time_and_leaves_nothing(here):
    started = refuse_unwritable(here / "results")
    (here / "later").touch()
    assert started <= os.stat(here / "later").st_mtime
    assert list((here / "results").iterdir()) == []


def fill_up(folder):
    with (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def test_a_disk_that_is_full_before_anything_starts(bench, small_disk):
    with pytest.raises(OSError, match="No space left"):
        fill_up(small_disk)
    status, _, err = bench(*RUN)
    assert status == 2
    assert "error: cannot write results to results/tiny: No space left on device" in err


def fill_disk(monkeypatch, suffix):
    """Let no file of some name be written any more."""
    fsync = os.fsync

    def full(handle):
        if suffix in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("name", ["model.pt", "checkpoint.pt", "evaluation.jsonl", "failed"])
def test_a_file_that_does_not_fit_costs_its_run_alone(bench, here, monkeypatch, name):
    words = ["variants.cvae.optimizers={default: {rate: 1e+30}}"] if name == "failed" else []
    with monkeypatch.context() as patch:
        fill_disk(patch, name)
        if name != "failed":
            finish = RunFolder.finish
            patch.setattr(RunFolder, "finish", lambda *given: (finish(*given), patch.undo()))
        status, _, err = bench(*RUN, *words)
    assert status == 1, err
    told = f"{name}; free some space there; to retry: bench run"
    assert told in err.splitlines()[-1] or "2 failed" not in err
    assert not list(here.glob("results/tiny/*/failed"))
    assert bench(*RUN)[0] == 0


def test_figures_are_kept_where_the_csv_files_do_not_fit(bench, here, monkeypatch):
    with monkeypatch.context() as patch:
        fill_disk(patch, "measurements.csv")
        status, _, err = bench(*RUN)
    assert status == 1
    assert "CSV files in results/tiny are not up to date: No space left on device" in err
    assert "then run: bench mirror tiny" in err
    assert "2 finished" in err
    assert bench("mirror", "tiny", "--tracker", "none")[0] == 0
    assert (here / "results" / "tiny" / "measurements.csv").exists()


@pytest.fixture
def read_only(here):
    """Return a function that makes a folder read-only, also for root."""
    made = []

    def make(folder):
        bind = ["mount", "--bind", folder, folder]
        if subprocess.run(bind, capture_output=True).returncode:
            pytest.skip("only root may mount")
        made.append(folder)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

    yield make
    for folder in made:
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_folder_of_a_run_costs_that_run_alone(bench, finished, read_only):
    run = finished[0][0]
    (run / "done").unlink()
    read_only(run)
    status, _, err = bench(*RUN)
    assert status == 1
    assert "1 failed, 1 kept; results in results/tiny" in err
    assert f"reason: Read-only file system: {run}/" in err.splitlines()[-1]
    assert "make it writable; to retry: bench run tiny.yaml" in err.splitlines()[-1]


def test_read_only_results_are_refused(bench, here, read_only):
    (here / "results").mkdir()
    read_only(here / "results")
    status, _, err = bench(*RUN)
    assert status == 2
    assert "cannot write results to results/tiny: Read-only file system" in err


def test_weights_of_another_network_are_refused_before_anything_starts(bench, here):
    torch.save({"a": torch.zeros(1)}, here / "other.pth")
    status, _, err = bench(*RUN, "--inception-weights", "other.pth")
    assert status == 2
    assert "error: --inception-weights: other.pth does not fit the Inception network" in err
    assert not [*here.glob("results/tiny/*/config.json")]


def test_data_that_vanished_after_the_check_fails_what_needs_it(bench, here, monkeypatch):
    data = here / "mine.npz"
    bench("run", "tiny.yaml", "--dry-run")
    import numpy as np

    x, y = np.zeros((80, 8, 8), np.uint8), np.arange(80) % 4
    x += (60 * y[:, None, None]).astype(np.uint8)
    np.savez(data, x_train=x, y_train=y, x_test=x, y_test=y)
    schedule = run_sweep.schedule

    def vanish(tasks, executor):
        data.unlink()
        executor.worker._contexts.clear()
        return schedule(tasks, executor)

    monkeypatch.setattr(run_sweep, "schedule", vanish)
    own = "variants.cvae.data={name: npz, path: mine.npz}"
    status, _, err = bench(*RUN, own)
    assert status == 1
    assert "1 failed, 1 finished" in err
    assert "there is no file" in err
    assert "mine.npz" in err


def test_a_damaged_checkpoint_gives_way_to_the_one_before(bench, here, finished, monkeypatch):
    _, expected = finished
    stopped_half_way(bench, monkeypatch, "--results", "other")
    newest = next(here.glob("other/tiny/*/checkpoint.pt"))
    newest.write_bytes(newest.read_bytes()[:-100])
    status, _, err = bench(*RUN, "--results", "other")
    assert status == 0
    assert f"WARNING: {newest.relative_to(here)} is damaged; going on from what was saved" in err
    assert "resumed at iteration 7" in (newest.parent / "log.txt").read_text()
    assert csv(here / "other" / "tiny") == expected


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_text("{")])
def test_a_training_that_goes_on_says_that_it_is_not_known_how_it_was_done(
    bench, here, finished, monkeypatch, damage
):
    words = ("--results", "other")
    stopped_half_way(bench, monkeypatch, *words)
    folder = next(here.glob("other/tiny/*/checkpoint.pt")).parent
    damage(folder / "execution.json")
    status, _, err = bench(*RUN, *words)
    assert status == 0, err
    name = folder.relative_to(here) / "execution.json"
    assert err.count("is lost or damaged, so how the run was executed up to its checkpoint") == 1
    assert f"{name} is lost or damaged" in err
    why = json.loads((folder / "execution.json").read_text())["switches"]["why"]
    assert why == ["the default on a CPU", "its record before was lost"]


@pytest.mark.parametrize("what", ["both checkpoints", "rows", "fewer rows"])
def test_a_run_with_damaged_files_begins_again(bench, here, finished, monkeypatch, what):
    _, expected = finished
    stopped_half_way(bench, monkeypatch, "--results", "other")
    folder = next(here.glob("other/tiny/*/checkpoint.pt")).parent
    rows = folder / "rows.jsonl"
    if what == "both checkpoints":
        for path in folder.glob("checkpoint.pt*"):
            path.write_bytes(b"nothing")
    else:
        content = rows.read_bytes()
        rows.write_bytes(content[:-20] if what == "fewer rows" else b"?" + content[1:])
    status, _, err = bench(*RUN, "--results", "other")
    assert status == 0
    assert err.count("WARNING: ") == (2 if what == "both checkpoints" else 1)
    assert "is damaged" in err
    assert "resumed" not in (folder / "log.txt").read_text()
    assert csv(here / "other" / "tiny") == expected


@pytest.mark.parametrize("name", ["done", "config.json", "evaluation.jsonl"])
@pytest.mark.parametrize("content", [b"{", b"\0" * 40], ids=["torn", "zeros"])
def test_a_damaged_file_of_a_finished_run_fails_that_run_alone(bench, finished, name, content):
    (run, _), expected = finished
    (run / name).write_bytes(content)
    status, out, _ = bench("status", "tiny")
    assert status == 0
    assert f"{run / name}" in out
    assert "--retry-failed" in out
    status, _, err = bench(*RUN)
    assert status == 1
    assert "1 failed, 1 kept; results in results/tiny" in err
    assert f"{run / name}" in err
    assert "damaged" in err
    assert "--retry-failed measures again" in err
    assert (run.parent / "measurements.csv").exists()
    status, _, err = bench(*RUN, "--retry-failed")
    assert status == 0, err
    assert "1 finished, 1 kept" in err
    assert csv(run.parent.resolve()) == expected


def test_a_damaged_provenance_says_what_to_do(bench, finished):
    (run, _), _ = finished
    (run / "provenance.json").write_bytes(b"\xff")
    status, _, err = bench(*RUN, "--retry-failed")
    assert status == 1
    assert f"{run / 'provenance.json'}: it is damaged" in err
    assert "1 failed, 1 kept" in err


def test_damaged_curves_cost_no_table(bench, finished):
    (run, other), _ = finished
    (run / "rows.jsonl").write_bytes(b"?\n")
    status, _, err = bench(*RUN)
    assert status == 0
    assert f"warning: left out: {run / 'rows.jsonl'}:1: not an entry" in err
    assert other.name in (run.parent / "curves.csv").read_text()


def test_damaged_weights_are_named_and_can_be_trained_again(bench, finished):
    (run, _), expected = finished
    (run / "done").unlink()
    (run / "model.pt").write_bytes((run / "model.pt").read_bytes()[:-1000])
    status, _, err = bench(*RUN)
    assert status == 1
    assert f"{run / 'model.pt'} is damaged (" in err
    assert "delete it and run the sweep again: the same weights are then trained again" in err
    (run / "model.pt").unlink()
    status, _, err = bench(*RUN, "--retry-failed")
    assert status == 0, err
    assert csv(run.parent.resolve()) == expected


def test_two_drivers_that_retry_try_each_failure_once(bench, here, monkeypatch):
    wild = "variants.cvae.optimizers={default: {rate: 1e+30}}"
    assert bench(*RUN, wild)[0] == 1
    check, tried = run_sweep.check_code, []

    def another_driver(*given):
        if not tried:
            tried.append(given)
            bench(*RUN, wild, "--retry-failed")
        check(*given)

    monkeypatch.setattr(run_sweep, "check_code", another_driver)
    status, _, err = bench(*RUN, wild, "--retry-failed")
    assert status == 1
    assert "failed    [" not in err, "the other driver has just tried it"
    assert "1 failed, 1 kept" in err


def test_memory_that_runs_out_in_an_evaluation_is_told(bench, here, monkeypatch):
    def measure(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand much more")

    with monkeypatch.context() as patch:
        patch.setattr("bench.evaluation.measuring.draw_samples", measure)
        status, _, err = bench(*RUN)
    assert status == 1
    assert "out of memory while measuring (CUDA out of memory. Tried to allocate 2 GiB)" in err
    assert "fewer samples_per_class or other metrics may help, then --retry-failed" in err
    assert bench(*RUN, "--retry-failed")[0] == 0


@pytest.mark.slow
def test_what_is_said_goes_nowhere_where_stderr_is_closed(here):
    command = f"{sys.executable} -m bench {' '.join(map(shlex.quote, RUN))} --jobs 2 2>&-"
    ended = subprocess.run(command, shell=True, cwd=here, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "")
    for log in here.glob("results/tiny/*/lock"):
        assert log.read_text() == "", "what was said went into the file that was opened next"


def test_a_control_that_fails_is_something_to_do(bench, here, already, monkeypatch):
    metrics = "base.metrics=[intra_class_diversity_native]"
    already(*RUN, metrics)
    shutil.rmtree(next(here.glob("results/tiny/real-*")))
    with monkeypatch.context() as patch:
        patch.setattr("bench.execution.run_one.measured_splits", lambda *given: 1 / 0)
        status, _, err = bench(*RUN, metrics)
    assert status == 1
    assert "nothing to do" not in err
    assert "1 failed, 2 kept; results in" in err
    assert err.splitlines()[-1].startswith("for the reason, see results/tiny/real-")
    _, _, err = bench(*RUN, metrics)
    assert "2 kept, 1 control measured; results in" in err
    assert "nothing to do: all 2 runs are done" in bench(*RUN, metrics)[2]


def test_a_lost_gpu_fails_no_run_and_the_same_command_goes_on(bench, here, monkeypatch):
    def broken(self, step):
        raise RuntimeError("CUDA error: device-side assert triggered")

    def lost(self):
        raise DeviceLost("cannot use cuda:0 any more: CUDA error: device-side assert triggered")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "iterate", broken)
        patch.setattr(Worker, "check_device", lost)
        status, _, err = bench(*RUN)
    assert status == 2, err
    assert "this process cannot use cuda:0 any more: CUDA error: device-side assert" in err
    assert "the same command continues" in err
    assert not list(here.glob("results/tiny/*/failed"))
    status, _, err = bench(*RUN)
    assert status == 0, err
