"""What every executor has to do, whichever it is."""

import os
import re
import signal
import threading
from contextlib import suppress

import pytest

from bench.errors import Interrupted
from bench.execution.executors.local import Local
from bench.process.worker import Worker
from tests.execution.sweeps import RUN as SWEEP
from tests.execution.sweeps import alive, csv, logs, process_of, wait_for

RUN = (*SWEEP, "--no-mlflow")

WILD = "variants.wild={model: {name: cvae, width: 0.25}, optimizers: {default: {rate: 1e+30}}}"
TUNING = """\
name: tuning
base: {data: blobs, model: {name: cvae, width: 0.25}, iterations: 3, batch_size: 16}
seeds: [0]
trials: 3
objectives: [class_accuracy]
variants: {cvae: {}}
"""
LONG = ("base.iterations=300", "seeds=[0]")


class Deaf:
    """A task during which someone asks to stop, and which ends all the same."""

    def do(self, worker):
        with suppress(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        return "finished"


@pytest.fixture(
    params=[
        "inline",
        "local",
        pytest.param("slurm", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
    ]
)
def executor(request):
    """Return the words that choose an executor."""
    if request.param == "slurm":
        request.getfixturevalue("fake_slurm")
    if request.param == "ray":
        pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    return ("--executor", request.param, "--jobs", "2")


@pytest.fixture
def expected(undisturbed, bench, here):
    """Return the figures of the long sweep, done in one go."""
    if not undisturbed:
        assert bench(*RUN, *LONG, "--results", "undisturbed")[0] == 0
        undisturbed["figures"] = csv(here / "undisturbed" / "tiny")
    return undisturbed["figures"]


def test_all_is_done_but_what_fails_and_the_last_line_says_so(executor, bench_process, here):
    process = bench_process(*RUN, *executor, WILD, "seeds=[0]", "base.controls=[noise]")
    _, err = process.communicate(timeout=900)
    assert process.returncode == 1, err
    assert "1 failed, 2 finished; results in results/tiny" in err
    last = err.splitlines()[-1]
    why = re.fullmatch(r"why: cat (\S+); again: bench run tiny.yaml .* --retry-failed", last)
    assert "was not finite at iteration" in (here / why[1]).read_text()
    again = bench_process(*RUN, *executor, WILD, "seeds=[0]", "base.controls=[noise]")
    _, err = again.communicate(timeout=900)
    assert again.returncode == 1
    assert "1 failed, 2 kept" in err


def test_a_killed_run_goes_on_where_it_was(executor, bench_process, here, expected):
    process = bench_process(*RUN, *executor, *LONG)
    run = wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))[0].parent
    os.kill(process_of((run / "log.txt").read_text()), signal.SIGKILL)
    _, err = process.communicate(timeout=900)
    if executor[1] == "inline":
        process = bench_process(*RUN, *executor, *LONG)
        _, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert "resumed at iteration" in (run / "log.txt").read_text()
    assert all(log.count(" finished\n") == 1 for log in logs(here / "results" / "tiny").values())
    assert csv(here / "results" / "tiny") == expected


def test_one_ctrl_c_saves_all_and_leaves_nobody_behind(executor, bench_process, here):
    process = bench_process(*RUN, *executor, "base.iterations=100000", "seeds=[0]")
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "continue with: bench run tiny.yaml" in err
    assert "Traceback" not in err
    for log in logs(here / "results" / "tiny").values():
        assert "run failed" not in log
        if "by process" in log:
            wait_for(lambda log=log: not alive(process_of(log)), 10)


def test_trials_are_done_like_runs(executor, bench_process, here):
    (here / "tuning.yaml").write_text(TUNING)
    process = bench_process("tune", "tuning.yaml", "--device", "cpu", "--no-mlflow", *executor)
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert "cvae: 3 trials (3 complete)" in out
    assert "finished  cvae, a trial, 3 of 3" in err


def test_a_worker_leaves_that_was_asked_to_stop_as_its_task_came_to_an_end():
    executor = Local(1, Worker("cpu"))
    executor.start([Deaf()])
    assert [ended.outcome for ended in executor.ended(60)] == ["finished"]
    leaver = threading.Thread(target=executor.close, daemon=True)
    leaver.start()
    leaver.join(60)
    assert not leaver.is_alive(), "the worker waits for another task"
