"""The one loop that hands tasks to an executor, whatever it is, and sees to it that they all end.

A task that another process holds waits; one whose worker died is started again, a few times. Of
those that wait, the ones that nobody has timed come first, then the longest: so no slot is left
alone with a long run at the end.
"""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from itertools import islice
from math import inf

from bench.execution.executors.base import Executor
from bench.execution.task import Task
from bench.execution.work import Outcome
from bench.tracking.console import say

POLL_S = 1.0
STARTS = 3
"""How often a run is started before the deaths of its workers make it a failed one."""


def settle(
    tasks: Sequence[Task], executor: Executor
) -> Generator[tuple[Task, Outcome], None, None]:
    """Bring tasks to their end.

    Args:
        tasks: What to do; other processes may be at some of it.
        executor: Where to do it; closed when this ends, however it ends.

    Yields:
        Each task when it has ended: `kept`, `finished` or `failed`.

    Raises:
        Interrupted: If someone asked to stop.
    """
    waiting = list(tasks)
    began: dict[Task, float] = {}
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
                    yield task, meanwhile
                else:
                    began[task] = time.monotonic()
            executor.start([task for task in chosen if task in began])
            for task, outcome, reason in executor.ended(POLL_S):
                took = time.monotonic() - began.pop(task)
                if outcome == "lost":
                    losses[task] += 1
                    if losses[task] == STARTS:
                        yield task, _give_up(task, reason)
                    else:
                        say(f"  {task.label}: the worker {reason}; another one goes on")
                        waiting.append(task)
                elif outcome == "busy":
                    waiting.append(task)
                else:
                    seconds[task.kind] = took
                    yield task, outcome


def _give_up(task: Task, reason: str) -> Outcome:
    text = f"started {STARTS} times, and each time its worker ended; the last one {reason}"
    say(f"  {task.label}: failed: {text}")
    with suppress(OSError):
        task.give_up(text)
    return "failed"
