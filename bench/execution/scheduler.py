"""The loop that hands tasks to an executor until all of them have ended.

A task that another process works on waits; one whose process died is started again. Waiting tasks
of the lowest priority number start first; of these, with several slots, kinds that are not timed
yet, then the slowest kinds.
"""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice
from math import inf

from bench.console import say
from bench.execution.executors.base import STOPPED, Ended, Executor
from bench.execution.task import Task

POLL_S = 1.0
STARTS = 3  # processes in a row that may die with nothing saved before a task fails


def schedule(tasks: Sequence[Task], executor: Executor) -> Generator[Ended, None, None]:
    """Yield each task when it has ended as `kept`, `finished` or `failed`; close the executor.

    A failure has a reason where none is written in the folder of the task.
    """
    waiting = list(tasks)
    started: dict[Task, float] = {}
    saved: dict[Task, float] = {}
    seconds: dict[str, float] = {}
    deaths: Counter[Task] = Counter()
    with closing(executor):
        while waiting or started:
            if executor.slots > 1:
                waiting.sort(key=lambda task: -seconds.get(task.kind, inf))
            waiting.sort(key=lambda task: task.priority)
            free = (task for task in waiting if not task.is_busy())
            starting = list(islice(free, executor.slots - len(started)))
            waiting = [task for task in waiting if task not in starting]
            for task in starting:
                if (state := task.state()) in ("done", "failed"):  # by another process
                    yield Ended(task, "kept" if state == "done" else "failed")
                else:
                    started[task], saved[task] = time.monotonic(), task.last_saved()
            executor.start([task for task in starting if task in started])
            for task, outcome, reason in executor.ended(POLL_S):
                took = time.monotonic() - started.pop(task)
                if outcome == "lost":
                    if task.last_saved() > saved[task]:
                        deaths[task] = 0
                    elif reason != STOPPED:
                        deaths[task] += 1
                    if deaths[task] == STARTS:
                        yield Ended(task, "failed", _give_up(task, reason))
                    else:
                        say(f"  {task.label}: worker process {reason}; resuming in a new process")
                        waiting.append(task)
                elif outcome == "busy":
                    waiting.append(task)
                else:
                    seconds[task.kind] = took
                    yield Ended(task, outcome, reason)


def _give_up(task: Task, reason: str) -> str:
    """Write why a task is given up; return the reason if it cannot be written."""
    text = f"{STARTS} times in a row its process ended with nothing saved; the last one {reason}"
    try:
        task.give_up(text)
    except OSError:
        return text
    return ""
