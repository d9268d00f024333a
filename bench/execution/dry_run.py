"""What a sweep would do: its matrix, what is there already, and how long the rest may take."""

from collections.abc import Iterable
from pathlib import Path

from bench.record.records import load_records
from bench.record.run_folder import RunFolder, State
from bench.reporting.status import states_text
from bench.spec.run_config import canonical_json
from bench.spec.run_settings import Training
from bench.spec.sweep_file import PlannedRun, Sweep


def states(sweep: Sweep, results: Path) -> list[tuple[PlannedRun, Path, State]]:
    """Return every run of a sweep with its folder and how far it is."""
    found = []
    for run in sweep.runs:
        path = results / sweep.name / run.config.id
        found.append((run, path, RunFolder(path).status(run.config.evaluation_id).state))
    return found


def missing_data(sweep: Sweep) -> list[str]:
    """Return what the data sets of a sweep are missing for, one text each."""
    sources = {canonical_json(r.config.training.data): r.config.source() for r in sweep.runs}
    return [text for source in sources.values() if (text := source.missing()) is not None]


def plan_text(sweep: Sweep, results: Path) -> str:
    """Return the plan of a sweep for people.

    Args:
        sweep: The checked sweep.
        results: Root of all results.

    Returns:
        A line a run, then the counts, an estimate of the time, and notices of missing data.
    """
    found = states(sweep, results)
    lines = [f"{sweep.name}: {len(found)} runs" + (f" - {sweep.title}" if sweep.title else "")]
    width = max(len(run.variant) for run, _, _ in found)
    for run, path, state in found:
        training = run.config.training
        lines.append(
            f"  {run.variant:<{width}}  seed {training.seed}  {training.model['name']} on "
            f"{training.data['name']}, {training.iterations} iterations  {path.name}  {state}"
        )
    lines.append("  " + states_text(state for _, _, state in found))
    left = [run.config.training for run, _, state in found if state not in ("done", "trained")]
    lines.append("  " + _estimate(left, results))
    return "\n".join(lines + [f"notice: {text}" for text in missing_data(sweep)])


def _estimate(left: Iterable[Training], results: Path) -> str:
    """Say how long runs may take, judging by runs that are done."""
    if not left:
        return "nothing left to train"
    known: dict[tuple[str, str], list[float]] = {}
    if results.is_dir():
        for entry in load_records(results, None).timings:
            if entry.metric == "iterations_per_second" and entry.value is not None:
                known.setdefault((entry.run.model, entry.run.data), []).append(entry.value)
    seconds = 0.0
    for training in left:
        rates = known.get((training.model["name"], training.data["name"]))
        if not rates:
            return "time: unknown, no run of this kind has been timed here yet"
        seconds += training.iterations * len(rates) / sum(rates)
    return f"about {seconds / 60:.1f} minutes, judging by earlier runs here"
