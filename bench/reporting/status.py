"""How far each sweep is, in a few lines."""

from pathlib import Path

from bench.record.progress import read_progress
from bench.record.records import Records, plain, seeds
from bench.record.sweep_folder import control_title

STATES = ("done", "failed", "unfinished", "missing")


def status_text(records: Records) -> str:
    """Return how many runs of each sweep are in which state, and name those that are not done.

    Args:
        records: The sweeps.

    Returns:
        Lines, the last one not ended.
    """
    if not records.sweeps:
        return f"no sweeps in {records.results}; begin with: bench run sweeps/quickstart.yaml"
    lines = []
    for sweep in records.sweeps:
        runs = records.runs[records.runs["sweep"] == sweep.name]
        counts = ", ".join(f"{(runs['state'] == state).sum()} {state}" for state in STATES)
        lines.append(f"{sweep.name}: {counts}")
        left = plain(runs[runs["state"] != "done"])
        known = records.controls
        names = [
            control_title(run["variant"]) if run["variant"] in known else run["variant"]
            for run in left
        ]
        width = max((len(name) for name in names), default=0)
        for run, name in zip(left, names, strict=True):
            seed = "".join(f"seed {number}" for number in seeds(run))
            why = f": {run['failure']}" if run["failure"] else ""
            state = _running(Path(run["path"])) or run["state"]
            lines.append(f"  {run['run']}  {name:<{width}}  {seed:<7}  {state}{why}")
        lines += [f"  {command}" for command in dict.fromkeys(run["command"] for run in left)]
    return "\n".join(lines)


def _running(folder: Path) -> str:
    """Return how far a run is that somebody is at work on, or nothing."""
    progress = read_progress(folder)
    if progress is None:
        return ""
    if not progress.is_training:
        return "running: trained, being measured"
    return f"running: {progress.step} of {progress.iterations} iterations"
