"""What a person sees of a sweep: one calm display on a terminal, plain lines elsewhere.

It reads the folders of the runs, so it is the same whoever does them: this process, others on this
machine, or a cluster.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.console import console, say
from bench.execution.task import Task
from bench.record.progress import Progress, read_progress

LOOK_EVERY_S = 1.0
SPEAK_EVERY_S = 30.0
MOST_SHOWN = 16
"""Runs under way that are shown one by one; a cluster may have hundreds."""


class Watch:
    """How far the runs of a sweep are, as their folders tell.

    Args:
        tasks: The runs, and what they are compared with; that is shown but not counted.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.total = sum(task.is_run for task in tasks)
        self.running: dict[Task, Progress] = {}
        self.done = 0
        self.failed = 0
        self._left = list(tasks)
        self._began = time.monotonic()
        self.look()
        self._work = float(sum(task.is_run for task in self._left))

    def look(self) -> None:
        """Look at the folders again."""
        self.running = {}
        for task in list(self._left):
            settled = task.settled()
            if settled:
                self._left.remove(task)
                self.done += task.is_run and settled == "kept"
                self.failed += task.is_run and settled == "failed"
            elif (progress := read_progress(task.path)) is not None:
                self.running[task] = progress

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all runs have ended, at the pace since this watch began."""
        left = sum(task.is_run for task in self._left)
        work = left - sum(progress.share for progress in self.running.values())
        pace = (self._work - work) / max(time.monotonic() - self._began, 1e-9)
        return work / pace if pace > 0 else None

    def summary(self) -> str:
        """Return the counts, and the time left as far as it can be told."""
        counts = [f"{self.done} of {self.total} done", f"{len(self.running)} running"]
        counts += [f"{self.failed} failed"] if self.failed else []
        seconds = self.seconds_left
        return ", ".join(counts) + (f", about {duration(seconds)} left" if seconds else "")


@contextmanager
def watching(title: str, tasks: Sequence[Task]) -> Iterator[None]:
    """Show how far a sweep is while its runs are being done.

    Args:
        title: What is running.
        tasks: The runs.

    Yields:
        Nothing.
    """
    watch = Watch(tasks)
    over = threading.Event()
    show = _show_display if console().is_terminal else _show_lines
    thread = threading.Thread(target=show, args=(title, watch, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def duration(seconds: float) -> str:
    """Return a time for people.

    Args:
        seconds: The time.

    Returns:
        Seconds, minutes, or hours and minutes.

    Example:
        >>> duration(34.2), duration(250), duration(9000)
        ('34 s', '4 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _show_lines(title: str, watch: Watch, over: threading.Event) -> None:
    """Say now and then how far all of them are."""
    while not over.wait(SPEAK_EVERY_S):
        watch.look()
        say(f"{title}: {watch.summary()}")


def _show_display(title: str, watch: Watch, over: threading.Event) -> None:
    """Keep one display up to date below the lines that are printed."""
    with Live(console=console(), refresh_per_second=4, transient=True) as live:
        last = False
        while not last:
            watch.look()
            live.update(_picture(title, watch))
            last = over.wait(LOOK_EVERY_S)


def _picture(title: str, watch: Watch) -> Group:
    """Return the display: the whole sweep in a line, then a line for each run under way."""
    head = Table.grid(padding=(0, 1))
    ended = watch.done + watch.failed + sum(p.share for p in watch.running.values())
    head.add_row(
        Text(title, style="bold"),
        ProgressBar(max(watch.total, 1), ended, width=30),
        watch.summary(),
    )
    rows = Table.grid(padding=(0, 1))
    for task, progress in list(watch.running.items())[:MOST_SHOWN]:
        rows.add_row(
            Text("  " + task.label),
            ProgressBar(1.0, progress.share, width=20),
            Text(_details(progress), no_wrap=True, overflow="ellipsis"),
        )
    more = len(watch.running) - MOST_SHOWN
    return Group(head, rows, *([Text(f"  and {more} more")] if more > 0 else []))


def _details(progress: Progress) -> str:
    """Return the numbers of one run."""
    if not progress.is_training:
        return progress.phase
    losses = " ".join(f"{name} {value:.3g}" for name, value in (progress.losses or {}).items())
    done = f"{progress.step}/{progress.iterations}"
    return f"{done}  {progress.images_per_second:.0f} images/s  {losses}"
