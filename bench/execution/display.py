"""Progress of a sweep, read from the folders of its runs: bars on a terminal, else lines."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from rich import progress as rich_progress
from rich.table import Column

from bench.console import console, say
from bench.execution.task import Task
from bench.record.progress import Progress, read_progress

LOOK_EVERY_S = 1.0
SAY_EVERY_S = 30.0
MOST_BARS = 16
"""Runs under way that are shown one by one; a cluster may have hundreds."""


class SweepProgress:
    """A bar for all runs of a sweep, and one for each task under way; controls are not counted."""

    def __init__(self, title: str, tasks: Sequence[Task]) -> None:
        self.bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(20),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn(
                "{task.fields[details]}", markup=False, table_column=Column(ratio=1, no_wrap=True)
            ),
            console=console(),
            expand=True,  # so that details are what a narrow terminal cuts
            refresh_per_second=4,
            speed_estimate_period=3600,
            transient=True,
        )
        self.runs = sum(task.is_run for task in tasks)
        self.counts = {"done": 0, "failed": 0}
        self._all = self.bars.add_task(title, total=self.runs, details="")
        self._left = list(tasks)
        self._running: dict[Task, rich_progress.TaskID] = {}
        self.look()

    def look(self) -> None:
        """Look at the folders again."""
        running: dict[Task, Progress] = {}
        for task in list(self._left):
            if (state := task.state()) in self.counts:
                self._left.remove(task)
                self.counts[state] += task.is_run
            elif (progress := read_progress(task.path)) is not None:
                running[task] = progress
        for task in self._running.keys() - running.keys():
            self.bars.remove_task(self._running.pop(task))
        for number, (task, progress) in enumerate(running.items()):
            if task not in self._running:
                self._running[task] = self.bars.add_task(f"  {task.label}", total=None, details="")
            self.bars.update(
                self._running[task],
                completed=progress.step,
                total=progress.iterations or None,
                details=_details(progress),
                visible=number < MOST_BARS,
            )
        ended = sum(self.counts.values()) + sum(progress.share for progress in running.values())
        self.bars.update(self._all, completed=ended, details=self.summary())

    def summary(self) -> str:
        """Return how many runs are done and have failed, and how many tasks are under way."""
        failed = f", {self.counts['failed']} failed" if self.counts["failed"] else ""
        return f"{self.counts['done']} of {self.runs} done, {len(self._running)} running{failed}"

    def line(self) -> str:
        """Return the summary with the time left at the pace so far."""
        bar = self.bars.tasks[0]
        left = bar.time_remaining
        about = f", about {timedelta(seconds=left)} left" if left else ""
        return f"{bar.description}: {self.summary()}{about}"


@contextmanager
def shown(title: str, tasks: Sequence[Task]) -> Iterator[None]:
    """Show the progress of a sweep while its tasks are done."""
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(SweepProgress(title, tasks), over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(progress: SweepProgress, over: threading.Event) -> None:
    is_terminal = console().is_terminal
    with progress.bars if is_terminal else nullcontext():
        while not over.wait(LOOK_EVERY_S if is_terminal else SAY_EVERY_S):
            progress.look()
            if not is_terminal:
                say(progress.line())


def _details(progress: Progress) -> str:
    """Return the numbers of one run."""
    if not progress.is_training:
        return progress.phase
    losses = " ".join(f"{name} {value:.3g}" for name, value in (progress.losses or {}).items())
    done = f"{progress.step}/{progress.iterations}"
    return f"{done}  {progress.images_per_second:.0f} images/s  {losses}"
