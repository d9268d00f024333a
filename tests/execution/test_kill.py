"""Killed at any moment, the same command gives the same figures."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.execution.sweeps import RUN as SWEEP
from tests.execution.sweeps import csv, wait_for

RUN = ("run", "tiny.yaml", "--no-mlflow", *SWEEP[2:])


def test_killed_in_the_middle_of_training(bench_process, here):
    long = (*RUN, "base.iterations=150", "seeds=[0]")
    straight = bench_process(*long)
    _, err = straight.communicate(timeout=120)
    assert straight.returncode == 0, err
    expected = csv(here / "results" / "tiny")
    shutil.rmtree(here / "results")
    killed = bench_process(*long)
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list(here.glob("results/tiny/*.csv"))
    again = bench_process(*long)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "2 finished" in err
    assert csv(here / "results" / "tiny") == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(bench_process, here, number):
    long = (*RUN[:-1], "1000", "base.iterations=4000", "seeds=[0]")
    process = bench_process(*long)
    wait_for(lambda: list(here.glob("results/tiny/*/rows.jsonl")))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "checkpoint saved; continue with: bench run tiny.yaml --no-mlflow" in err
    assert list(here.glob("results/tiny/*/checkpoint.pt"))


def test_two_processes_share_the_work_and_give_the_same_figures(bench_process, here):
    both = [bench_process(*RUN, "--results", "shared") for _ in range(2)]
    alone = bench_process(*RUN, "--results", "alone")
    told = [process.communicate(timeout=240)[1] for process in (*both, alone)]
    assert [process.returncode for process in (*both, alone)] == [0, 0, 0], told
    lines = "".join(told[:2]).splitlines()
    assert sum(line.startswith("finished  [") for line in lines) == 4, "each run is done once"
    assert csv(here / "shared" / "tiny") == csv(here / "alone" / "tiny")


def workers(process):
    """Return the processes that a driver has started to do runs, but for those still starting."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if os.getsid(int(child)) == int(child)]


def test_workers_stop_when_their_driver_is_killed(bench_process, here):
    long = (*RUN, "--jobs", "2", "base.iterations=100000", "seeds=[0]")
    process = bench_process(*long)
    wait_for(lambda: len(list(here.glob("results/tiny/*/rows.jsonl"))) == 2)
    assert len(workers(process)) == 2
    process.kill()
    process.communicate(timeout=60)  # returns once nobody holds the pipes any more


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_a_killed_worker_costs_nothing_and_one_ctrl_c_ends_all(bench_process, here):
    long = (*RUN, "--jobs", "2", "base.iterations=100000", "seeds=[0]")
    process = bench_process(*long)
    wait_for(lambda: len(list(here.glob("results/tiny/*/checkpoint.pt"))) == 2)
    os.kill(workers(process)[0], signal.SIGKILL)
    logs = list(here.glob("results/tiny/*/log.txt"))
    wait_for(lambda: any("resumed at iteration" in log.read_text() for log in logs))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the worker was killed (as the system does when memory runs out" in err
    assert "another one goes on" in err
    assert "stopped; continue with: bench run tiny.yaml" in err
    assert "Traceback" not in err


def test_an_evaluation_does_not_hold_up_a_stop(bench, monkeypatch):
    def measure(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the evaluation went on")

    monkeypatch.setattr("bench.evaluation.measuring.measure", measure)
    status, _, err = bench(*RUN)
    assert status == 130
    assert "stopped; continue with: bench run tiny.yaml" in err
    monkeypatch.undo()


def test_a_damaged_mark_fails_its_run_alone(bench, here):
    assert bench(*RUN)[0] == 0
    expected = csv(here / "results" / "tiny")
    done = next(here.glob("results/tiny/*/done"))
    done.write_text("{")
    status, _, err = bench(*RUN)
    assert status == 1
    assert "1 failed, 3 kept" in err
    assert f"{done.relative_to(here)}: it is damaged" in err
    assert "--retry-failed measures again" in err
    status, _, err = bench(*RUN, "--retry-failed")
    assert status == 0, err
    assert csv(here / "results" / "tiny") == expected
