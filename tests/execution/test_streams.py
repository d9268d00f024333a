"""Runs side by side in one process: they overlap, and none knows of the others."""

import threading

import pytest
import torch

from bench.errors import DeviceLost
from bench.process.turns import Turn, Turns
from tests.execution.sweeps import RUN, csv, logs, spans

SWEEP = (*RUN, "--no-mlflow", "base.iterations=40", "base.metrics=[]", "seeds=[0,1]")


@pytest.mark.slow
def test_runs_overlap_and_end_as_they_do_alone(bench, here):
    assert bench(*SWEEP, "--results", "alone")[0] == 0
    words = ("--executor", "streams", "--jobs", "3", "--results", "together")
    status, _, err = bench(*SWEEP, *words)
    assert status == 0, err
    assert "on cpu, 3 side by side in one process" in err
    alone, together = (here / results / "tiny" for results in ("alone", "together"))
    assert csv(together) == csv(alone)
    found = logs(together)
    trained = {name: log for name, log in found.items() if not name.startswith("real")}
    assert len(trained) == 4
    for name, log in found.items():
        assert log.count("by process") == log.count(" finished\n") == 1, "its own lines alone"
        assert name in log
    times = sorted(spans(log) for log in trained.values())
    assert times[1][0] < times[0][1], "the second began before the first had ended"


def test_turns_go_round():
    turns, order, names = Turns(), [], "abc"

    def work(name):
        turns.take()
        for _ in range(3):
            order.append(name)
            turns.give()
            turns.take()
        turns.give()

    threads = []
    turns.take()  # until all of them wait, in this order
    for number, name in enumerate(names):
        threads.append(threading.Thread(target=work, args=name, daemon=True))
        threads[-1].start()
        while len(turns._waiting) <= number:
            pass
    turns.give()
    for thread in threads:
        thread.join(10)
    assert "".join(order) == "abc" * 3
    assert not turns.are_awaited


@pytest.mark.parametrize("calls", [0, 1], ids=["begin", "end"])
def test_a_thread_that_finds_no_device_gives_its_turn_to_the_next(calls):
    turns, left = Turns(), iter([None] * calls)

    def wait():
        if next(left, "none") == "none":
            raise DeviceLost("cannot use cuda any more")

    with pytest.raises(DeviceLost), Turn(turns, torch.device("cpu"), wait):
        pass
    turns.take()  # at once
