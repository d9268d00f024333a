"""The loop around executors, on an executor of which everything is known."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.errors import Interrupted
from bench.execution import scheduler
from bench.execution.executors.base import STOPPED, Ended, Executor
from bench.execution.run_sweep import tasks_of
from bench.execution.task import RunTask
from bench.spec.sweep_file import load_sweep
from tests.data_recorded import recorded


class Scripted(Executor):
    """Ends one task a call, the shortest first, with the outcomes that a script says."""

    def __init__(self, slots, script):
        self.slots, self.script = slots, script
        self.running, self.order, self.closed = [], [], False

    def __str__(self):
        return "nowhere"

    def start(self, tasks):
        self.running += tasks
        self.order += [task.label for task in tasks]
        assert len(self.running) <= self.slots

    def ended(self, seconds):
        if not self.running:
            return []
        task = self.running.pop(0)
        outcomes = self.script.get(task.label, [])
        outcome = outcomes.pop(0) if outcomes else "finished"
        if outcome == "interrupted":
            raise Interrupted("stopped")
        return [Ended(task, outcome, "was killed" if outcome == "lost" else "")]

    def close(self):
        self.closed = True


@pytest.fixture
def tasks(tmp_path):
    def make(*labels):
        return [
            RunTask(
                tmp_path / label,
                label,
                SimpleNamespace(
                    canonical={"kind": label[0], "seed": 0}, evaluation_id="e", sampling_rows={}
                ),
            )
            for label in labels
        ]

    return make


def outcomes(found):
    return [(task.label, outcome) for task, outcome, _ in found]


def test_every_task_ends_once(tasks):
    executor = Scripted(2, {"b": ["failed"]})
    found = outcomes(scheduler.schedule(tasks("a", "b", "c"), executor))
    assert found == [("a", "finished"), ("b", "failed"), ("c", "finished")]
    assert executor.closed


def test_a_task_whose_process_died_continues_in_another_a_few_times(tasks, capsys):
    executor = Scripted(1, {"a": ["lost", "lost"], "b": ["lost"] * 9})
    a, b = tasks("a", "b")
    found = outcomes(scheduler.schedule([a, b], executor))
    assert found == [("a", "finished"), ("b", "failed")]
    assert executor.order.count("a") == executor.order.count("b") == scheduler.STARTS
    assert (b.path / "failed").read_text() == (
        "3 times in a row its process ended with nothing saved; the last one was killed\n"
    )
    err = capsys.readouterr().err
    assert "  a: worker process was killed; resuming in a new process" in err
    assert "in a row" not in err, "whoever asked says it"


def test_deaths_count_only_where_nothing_was_saved_in_between(tasks, monkeypatch):
    executor = Scripted(1, {"a": ["lost"] * 9})
    [a] = tasks("a")
    times = iter([0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4])
    monkeypatch.setattr(RunTask, "last_saved", lambda task: next(times))
    assert outcomes(scheduler.schedule([a], executor)) == [("a", "failed")]
    assert executor.order.count("a") == 4 + scheduler.STARTS


def test_whoever_was_asked_to_leave_did_not_die(tasks, monkeypatch):
    executor = Scripted(1, {"a": ["lost"] * 9})
    ended = executor.ended
    monkeypatch.setattr(
        executor, "ended", lambda seconds: [e._replace(reason=STOPPED) for e in ended(seconds)]
    )
    found = list(scheduler.schedule(tasks("a"), executor))
    assert [e.outcome for e in found] == ["finished"]
    assert executor.order.count("a") == 10


def test_what_nobody_has_timed_comes_first_then_the_longest(tasks, monkeypatch):
    clock = iter([0, 0, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5])  # a1 takes 1, b1 takes 5
    monkeypatch.setattr(scheduler.time, "monotonic", lambda: next(clock))
    executor = Scripted(2, {})
    list(scheduler.schedule(tasks("a1", "b1", "a2", "c1", "a3", "b2"), executor))
    assert executor.order[:2] == ["a1", "b1"]
    assert executor.order[2:4] == ["c1", "b2"]


def test_tasks_of_a_lower_priority_come_first_however_long_they_take(tasks, monkeypatch):
    clock = iter([0, 0, 1, 5, *[5] * 9])  # a1 takes 1, b1 takes 5
    monkeypatch.setattr(scheduler.time, "monotonic", lambda: next(clock))
    executor = Scripted(2, {})
    first, second = tasks("a1", "b1", "a2"), tasks("b3", "c3", "a3")
    second = [replace(task, priority=1) for task in second]
    list(scheduler.schedule([*first, *second], executor))
    assert executor.order == ["a1", "b1", "a2", "c3", "b3", "a3"]


def test_a_sweep_goes_seed_by_seed(here):
    sweep = load_sweep(here / "tiny.yaml", ["seeds=[7, 3]"])
    variants = dict.fromkeys(run.variant for run in sweep.runs)
    assert len(variants) > 1
    expected = [f"{variant}, seed {seed}" for seed in (7, 3) for variant in variants]
    assert [task.label for task in tasks_of(sweep, here)] == expected
    assert [task.priority for task in tasks_of(sweep, here)] == [0, 0, 1, 1]


def test_a_task_whose_process_died_comes_before_those_of_a_higher_priority(tasks):
    executor = Scripted(1, {"a": ["lost"]})
    later = [replace(task, priority=1) for task in tasks("c", "d")]
    list(scheduler.schedule([*tasks("a", "b"), *later], executor))
    assert executor.order == ["a", "b", "a", "c", "d"]


def test_a_task_that_another_process_holds_is_waited_for(tasks, monkeypatch):
    monkeypatch.setattr(scheduler, "POLL_S", 0.01)
    a, b = tasks("a", "b")
    recorded.write_measured(a.path)
    executor = Scripted(1, {})
    with a.folder.locked():
        found = scheduler.schedule([a, b], executor)
        assert outcomes([next(found)]) == [("b", "finished")]
        threading.Timer(0.1, a.folder.finish, ["e"]).start()
        while not (a.path / "done").exists():
            executor.ended(0)
    assert outcomes(found) == [("a", "kept")]
    assert executor.order == ["b"]


def test_whoever_stops_leaves_the_executor_closed(tasks):
    executor = Scripted(2, {"a": ["interrupted"]})
    with pytest.raises(Interrupted):
        list(scheduler.schedule(tasks("a", "b"), executor))
    assert executor.closed
