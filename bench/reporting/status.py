"""The state of each sweep, in a few lines."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.record.progress import read_progress
from bench.record.records import Records
from bench.record.run_folder import State
from bench.record.sweep_folder import KINDS_OF_RUNS, KindOfRun, RecordedRun

STATES: tuple[State, ...] = ("done", "trained", "failed", "unfinished", "missing")
"""In the order in which they are listed."""


def status_text(records: Records) -> str:
    """Return how many runs and controls of each sweep are in which state, and name the rest."""
    if not records.sweeps:
        return f"no sweeps in {records.results}; start with: bench run quickstart"
    lines = []
    for sweep in records.sweeps:
        runs = [run for run in records.runs if run.sweep == sweep.name]
        lines.append(f"{sweep.name}: {states_by_kind(runs)}")
        left = [run for run in runs if run.state != "done"]
        width = max((len(run.title) for run in left), default=0)
        for run in left:
            seed = "" if run.seed is None else f"seed {run.seed}"
            state = (_progress(run.path) or run.state) + (f": {run.reason}" if run.reason else "")
            lines.append(f"  {run.id}  {run.title:<{width}}  {seed:<7}  {state}")
        lines += [f"  {command}" for command in dict.fromkeys(run.command for run in left)]
    return "\n".join(lines)


def states_by_kind(runs: Iterable[RecordedRun]) -> str:
    """Return how many runs of a sweep are in each state: trained ones, sampling rows, controls."""
    kinds: dict[KindOfRun, list[State]] = {kind: [] for kind in KINDS_OF_RUNS}
    for run in runs:
        kinds[run.kind].append(run.state)
    text = states_text(kinds["run"])
    if rows := kinds["sampling_row"]:
        text += f"; rows of other sampling options: {states_text(rows)}"
    if controls := kinds["control"]:
        text += f"; controls: {states_text(controls)}"
    return text


def states_text(states: Iterable[State]) -> str:
    """Return how many runs are in each state.

    >>> states_text(["missing", "done", "done"])
    '2 done, 1 missing'
    """
    counts = Counter(states)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no runs"


def _progress(folder: Path) -> str:
    progress = read_progress(folder)
    if progress is None:
        return ""
    if not progress.is_training:
        return "running: trained, being measured"
    return f"running: {progress.step} of {progress.iterations} iterations"
