"""The one loop that hands tasks to an executor, whatever it is, and sees to it that they all end.

A task that another process holds waits. One whose worker died is started again, and given up only
if that happens several times without anything new being saved: a cluster may take its machines away
as often as it likes. Of those that wait, the ones that nobody has timed come first, then the
longest, so that no slot is left alone with a long run at the end.
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
STARTS = 3
"""How often in a row the worker of a run may die, with nothing saved in between, before that makes
the run a failed one."""


def settle(tasks: Sequence[Task], executor: Executor) -> Generator[Ended, None, None]:
    """Bring tasks to their end.

    Args:
        tasks: What to do; other processes may be at some of it.
        executor: Where to do it; closed when this ends, however it ends.

    Yields:
        Each task when it has ended: `kept`, `finished` or `failed`; for `failed` with a reason
        where none is in the folder of the task.

    Raises:
        Interrupted: If someone asked to stop.
    """
    waiting = list(tasks)
    began: dict[Task, float] = {}
    saved: dict[Task, float] = {}
    seconds: dict[str, float] = {}
    losses: Counter[Task] = Counter()
    with closing(executor):
        while waiting or began:
            if executor.slots > 1:
                waiting.sort(key=lambda task: -seconds.get(task.kind, inf))
            free = (task for task in waiting if not task.held())
            chosen = list(islice(free, executor.slots - len(began)))
            waiting = [task for task in waiting if task not in chosen]
            for task in chosen:
                if (meanwhile := task.settled()) is not None:  # by another process
                    yield Ended(task, meanwhile)
                else:
                    began[task], saved[task] = time.monotonic(), task.saved()
            executor.start([task for task in chosen if task in began])
            for task, outcome, reason in executor.ended(POLL_S):
                took = time.monotonic() - began.pop(task)
                if outcome == "lost":
                    if task.saved() > saved[task]:
                        losses[task] = 0
                    elif reason != STOPPED:
                        losses[task] += 1
                    if losses[task] == STARTS:
                        yield Ended(task, "failed", _give_up(task, reason))
                    else:
                        say(f"  {task.label}: the worker {reason}; another one goes on")
                        waiting.append(task)
                elif outcome == "busy":
                    waiting.append(task)
                else:
                    seconds[task.kind] = took
                    yield Ended(task, outcome, reason)


def _give_up(task: Task, reason: str) -> str:
    """Write why a task is given up; return it if it cannot be written."""
    text = f"{STARTS} times in a row its worker ended and nothing was saved; the last one {reason}"
    try:
        task.give_up(text)
    except OSError:
        return text
    return ""
