"""What is shown while a sweep runs."""

import io
import queue
import threading
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from rich.console import Console

from bench.execution import display
from bench.execution.display import Watch, watching
from bench.execution.task import RunTask
from bench.record import progress
from bench.record.progress import ProgressFile

EVALUATION = "0123"


@dataclass(frozen=True)
class Config:
    evaluation_id: str = EVALUATION


def task_at(path):
    path.mkdir()
    return RunTask(path, f"variant {path.name}", Config())


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Return four runs, the first of them done before anything starts."""
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    found = [task_at(tmp_path / name) for name in "abcd"]
    found[0].folder.finish(EVALUATION)
    with ExitStack() as stack:
        for task in found[1:]:
            stack.enter_context(task.folder.locked())
        yield found


def test_counts_follow_the_folders(tasks):
    _, b, c, d = tasks
    watch = Watch(tasks)
    assert watch.summary() == "1 of 4 done, 0 running"
    ProgressFile(b.path, iterations=4).update(2)
    c.folder.fail("a traceback")
    watch.look()
    assert watch.summary().startswith("1 of 4 done, 1 running, 1 failed, about ")
    b.folder.finish(EVALUATION)
    d.folder.finish("measured otherwise")
    watch.look()
    assert (watch.done, watch.failed, watch.running) == (2, 1, {})


def test_the_time_left_is_the_work_left_at_the_pace_so_far(tasks, monkeypatch):
    _, b, c, _ = tasks
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    watch = Watch(tasks)  # three are left
    assert watch.seconds_left is None
    clock[0] += 60
    b.folder.finish(EVALUATION)
    file = ProgressFile(c.path, iterations=4)
    file.update(2)
    watch.look()
    assert watch.seconds_left == pytest.approx(60)  # one and a half took 60 s, as many are left


def test_lines_where_there_is_no_terminal(tasks, monkeypatch):
    monkeypatch.setattr(display, "SPEAK_EVERY_S", 0.01)
    said = queue.Queue()
    monkeypatch.setattr(display, "say", said.put)
    with watching("mine", tasks):
        assert said.get(timeout=10).startswith("mine: 1 of 4 done, 0 running")


def test_one_display_on_a_terminal(tasks, monkeypatch):
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(display, "console", lambda: terminal)
    monkeypatch.setattr(display, "LOOK_EVERY_S", 0.01)
    _, b, c, _ = tasks
    ProgressFile(b.path, iterations=4).update(2, {"main/kl": 0.25})
    ProgressFile(c.path, iterations=4).measuring()
    drawn = threading.Event()
    picture = display._picture
    monkeypatch.setattr(display, "_picture", lambda *given: (drawn.set(), picture(*given))[1])
    with watching("mine", tasks):
        assert drawn.wait(10)
    shown = written.getvalue()
    for text in ("mine", "1 of 4 done, 2 running", "variant b", "2/4", "kl 0.25", "measuring"):
        assert text in shown


def test_what_runs_are_compared_with_is_shown_and_not_counted(tasks, tmp_path):
    (tmp_path / "real").mkdir()
    control = RunTask(tmp_path / "real", "real blobs", Config(), "real")
    watch = Watch([control, *tasks])
    assert watch.summary() == "1 of 4 done, 0 running"
    with control.folder.locked():
        ProgressFile(control.path, iterations=0).measuring()
        watch.look()
        assert watch.summary() == "1 of 4 done, 1 running"
        ProgressFile(tasks[1].path, iterations=4)
        watch.look()
    assert watch.summary() == "1 of 4 done, 2 running", "also before its first iteration"
    control.folder.finish(EVALUATION)
    watch.look()
    assert watch.summary() == "1 of 4 done, 1 running"


def test_a_cluster_is_not_listed_run_by_run(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    found = [task_at(tmp_path / str(number)) for number in range(display.MOST_SHOWN + 3)]
    written = io.StringIO()
    with ExitStack() as stack:
        for task in found:
            stack.enter_context(task.folder.locked())
            ProgressFile(task.path, iterations=2).update(1)
        Console(file=written, width=100).print(display._picture("mine", Watch(found)))
    assert "and 3 more" in written.getvalue()
    assert len(written.getvalue().splitlines()) == 1 + display.MOST_SHOWN + 1
