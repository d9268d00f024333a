"""Requests to stop, and several processes at one sweep."""

import os
import signal
from pathlib import Path

import pytest

from bench.training.trainer import Trainer
from tests.execution.sweeps import RUN as SWEEP
from tests.execution.sweeps import csv, wait_for

pytestmark = pytest.mark.usefixtures("small_models")

RUN = ("run", "tiny.yaml", "--no-mlflow", *SWEEP[2:])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(bench, here, monkeypatch, number):
    iterate = Trainer.iterate

    def ask_at_eight(self, step):
        if step == 8:
            signal.raise_signal(number)
        iterate(self, step)

    monkeypatch.setattr(Trainer, "iterate", ask_at_eight)
    status, _, err = bench(*RUN[:-1], "1000", "seeds=[0]")
    assert status == 130
    assert "checkpoint saved; continue with: bench run tiny.yaml --no-mlflow" in err
    assert list(here.glob("results/tiny/*/checkpoint.pt"))


WITHOUT_LOCKS = """\
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


@pytest.fixture(params=[True, False], ids=["with locks", "without locks"])
def disk(request, tmp_path_factory, monkeypatch):
    """Let processes find a disk with locks, or one without."""
    if not request.param:
        folder = tmp_path_factory.mktemp("site")
        (folder / "sitecustomize.py").write_text(WITHOUT_LOCKS)
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        monkeypatch.setenv("PYTHONPATH", path)
    return request.param


@pytest.mark.slow
def test_two_processes_share_the_work_and_give_the_same_figures(bench_process, here, disk):
    both = [bench_process(*RUN, "--results", "shared") for _ in range(2)]
    alone = bench_process(*RUN, "--results", "alone")
    told = [process.communicate(timeout=240)[1] for process in (*both, alone)]
    assert [process.returncode for process in (*both, alone)] == [0, 0, 0], told
    lines = "".join(told[:2]).splitlines()
    assert sum(line.startswith("finished  [") for line in lines) == 4, "each run is done once"
    assert csv(here / "shared" / "tiny") == csv(here / "alone" / "tiny")
    assert ("has no locks" in told[2]) is not disk


def children(process):
    """Return the processes that a command has started to do runs, but for those still starting."""
    started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in started if os.getsid(int(child)) == int(child)]


@pytest.mark.slow
def test_processes_stop_when_their_parent_is_killed(bench_process, here):
    long = (*RUN, "--jobs", "2", "base.iterations=100000", "seeds=[0]")
    process = bench_process(*long)
    wait_for(lambda: len(list(here.glob("results/tiny/*/rows.jsonl"))) == 2)
    assert len(children(process)) == 2
    process.kill()
    process.communicate(timeout=60)  # returns once nobody holds the pipes any more


def test_an_evaluation_does_not_hold_up_a_stop(bench, monkeypatch):
    def measure(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the evaluation went on")

    monkeypatch.setattr("bench.evaluation.measuring.measure", measure)
    status, _, err = bench(*RUN)
    assert status == 130
    assert "stopped; continue with: bench run tiny.yaml" in err
    monkeypatch.undo()
