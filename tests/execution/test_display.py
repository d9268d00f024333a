"""What is shown while a sweep runs."""

import io
import queue
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.execution import display
from bench.execution.display import SweepProgress, shown
from bench.execution.task import ControlTask, RunTask
from bench.record import progress
from bench.record.progress import ProgressFile
from tests.data_recorded import recorded

EVALUATION = "0123"
CONFIG = SimpleNamespace(evaluation_id=EVALUATION, sampling_rows={})


def task_at(path):
    recorded.write_measured(path)
    return RunTask(path, f"variant {path.name}", CONFIG)


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


@pytest.fixture
def terminal(monkeypatch):
    """Let all be shown on a terminal of 100 columns; return what is written there."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, height=40, highlight=False)
    monkeypatch.setattr(display, "console", lambda: console)
    monkeypatch.setattr(display, "LOOK_EVERY_S", 0.01)
    return written


def test_counts_follow_the_folders(tasks):
    _, b, c, d = tasks
    sweep = SweepProgress("mine", tasks)
    assert sweep.summary() == "1 of 4 done, 0 running"
    ProgressFile(b.path, iterations=4).update(2)
    c.folder.fail("a traceback")
    sweep.look()
    assert sweep.summary() == "1 of 4 done, 1 running, 1 failed"
    b.folder.finish(EVALUATION)
    d.folder.finish("measured otherwise")
    sweep.look()
    assert sweep.summary() == "2 of 4 done, 0 running, 1 failed"


def test_the_time_left_is_the_work_left_at_the_pace_so_far(tasks, monkeypatch):
    _, b, c, _ = tasks
    clock = [100.0]
    console = Console(file=io.StringIO(), get_time=lambda: clock[0])
    monkeypatch.setattr(display, "console", lambda: console)
    sweep = SweepProgress("mine", tasks)  # three are left
    assert sweep.line() == "mine: 1 of 4 done, 0 running"
    clock[0] += 60
    b.folder.finish(EVALUATION)
    ProgressFile(c.path, iterations=4).update(2)
    sweep.look()  # one and a half took 60 s, as many are left
    assert sweep.line() == "mine: 2 of 4 done, 1 running, about 0:01:00 left"


def test_lines_where_there_is_no_terminal(tasks, monkeypatch):
    monkeypatch.setattr(display, "SAY_EVERY_S", 0.01)
    said = queue.Queue()
    monkeypatch.setattr(display, "say", said.put)
    with shown("mine", tasks):
        assert said.get(timeout=10).startswith("mine: 1 of 4 done, 0 running")


def test_bars_on_a_terminal(tasks, monkeypatch, terminal):
    _, b, c, _ = tasks
    ProgressFile(b.path, iterations=4).update(2, {"main/kl": 0.25})
    ProgressFile(c.path, iterations=4).measuring()
    looked = threading.Event()
    look = SweepProgress.look
    monkeypatch.setattr(SweepProgress, "look", lambda sweep: (look(sweep), looked.set()))
    with shown("mine", tasks):
        assert looked.wait(10)
    for text in ("mine", "1 of 4 done, 2 running", "variant b", "2/4", "kl 0.25", "measuring"):
        assert text in terminal.getvalue()


def test_controls_are_shown_and_not_counted(tasks, tmp_path):
    recorded.write_measured(tmp_path / "real")
    control = ControlTask(tmp_path / "real", "real blobs", CONFIG, "real")
    sweep = SweepProgress("mine", [control, *tasks])
    assert sweep.summary() == "1 of 4 done, 0 running"
    with control.folder.locked():
        ProgressFile(control.path, iterations=0).measuring()
        sweep.look()
        assert sweep.summary() == "1 of 4 done, 1 running"
        ProgressFile(tasks[1].path, iterations=4)
        sweep.look()
    assert sweep.summary() == "1 of 4 done, 2 running", "also before its first iteration"
    control.folder.finish(EVALUATION)
    sweep.look()
    assert sweep.summary() == "1 of 4 done, 1 running"


def test_a_cluster_is_not_listed_run_by_run(tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    found = [task_at(tmp_path / str(number)) for number in range(display.MOST_BARS + 3)]
    with ExitStack() as stack:
        for task in found:
            stack.enter_context(task.folder.locked())
            ProgressFile(task.path, iterations=2).update(1)
        display.console().print(SweepProgress("mine", found).bars)
    assert f"0 of {len(found)} done, {len(found)} running" in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) == 1 + display.MOST_BARS


def test_a_narrow_terminal_has_a_line_for_each_run(tasks, monkeypatch):
    console = Console(file=io.StringIO(), width=60)
    monkeypatch.setattr(display, "console", lambda: console)
    ProgressFile(tasks[1].path, iterations=4).update(2, {f"main/term_{n}": n for n in range(9)})
    console.print(SweepProgress("mine", tasks).bars)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2, lines
    assert "variant b" in lines[1]
