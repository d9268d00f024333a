"""The plan of a sweep: its runs and their states, and how long the rest may take."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.record.run_folder import RunFolder, State
from bench.reporting.status import states_text
from bench.spec.completion.start_from import run_folder_of
from bench.spec.components import data_text
from bench.spec.run_config import RunConfig, canonical_json
from bench.spec.run_settings import Training
from bench.spec.sweep_file import Sweep, row_name

if TYPE_CHECKING:
    from bench.process.worker import Worker


def dry_run_text(sweep: Sweep, results: Path) -> str:
    """Return a line for each run, the counts, and an estimate of the time."""
    lines = [f"{sweep.name}: {len(sweep.runs)} runs" + (f" - {sweep.title}" if sweep.title else "")]
    width = max(len(run.variant) for run in sweep.runs)
    states: list[State] = []
    left = []
    for run in sweep.runs:
        training = run.config.training
        folder = RunFolder(results / sweep.name / run.config.id)
        state = folder.status(run.config.evaluation_id, run.config.sampling_rows).state
        states.append(state)
        if state not in ("done", "trained"):
            left.append(training)
        lines.append(
            f"  {run.variant:<{width}}  seed {training.seed}  {training.model['name']} on "
            f"{data_text(training.data)}, {training.iterations} iterations  "
            f"{run.config.id}  {state}{_start_text(training)}"
        )
        names = run.config.evaluation.sampling
        for name, id_ in zip(names, run.config.sampling_rows, strict=True):
            of_row = folder.sampling_row(id_).status(run.config.evaluation_id).state
            lines.append(f"    {row_name(run.variant, name)}: {of_row}, drawn from its weights")
    lines.append("  " + states_text(states))
    lines.append("  " + _estimate(left, results))
    return "\n".join(lines)


def data_lines(sweep: Sweep, worker: "Worker") -> list[str]:
    """Return what is missing of the data sets of a sweep, and what their user should know."""
    configs = {canonical_json(run.config.training.data): run.config for run in sweep.runs}
    lines = [line for config in configs.values() for line in _notices(config, worker)]
    return [f"note: {line}" for line in [*lines, *_notices_of_budget(sweep, worker)]]


def _notices_of_budget(sweep: Sweep, worker: "Worker") -> list[str]:
    """Say how many images each training sees, where these are not the same and the data are here.

    An iteration may take several batches.
    """
    from bench.execution.data_change import data_here
    from bench.training.cost import images_in_all

    images: dict[str, int] = {}
    for run in sweep.runs:
        training = run.config.training
        if run.variant not in images and (data := data_here(training.data, worker)):
            images[run.variant] = images_in_all(training, data.spec)
    if len(set(images.values())) < 2:
        return []
    shown = ", ".join(f"{variant} {count}" for variant, count in images.items())
    return [
        f"trainings see different numbers of images: {shown}; other `iterations` of a variant make "
        "them equal, as in sweeps/equal_images.yaml"
    ]


def _start_text(training: Training) -> str:
    """Say from whose weights a training starts, if it is not initialized."""
    start = training.start_from
    if start is None:
        return ""
    return f", starts from {run_folder_of(start)} ({', '.join(start.players)})"


def _notices(config: RunConfig, worker: "Worker") -> list[str]:
    """Return why a data set cannot be loaded, or what its user should know."""
    from bench.data.summary import data_notices

    try:
        missing = config.source().missing()
        if missing is not None:
            return [missing]
        data = worker.context_of(config.training.data).data
        return data_notices(data, config.evaluation.samples_per_class)
    except BenchError as error:
        return [str(error)]


def _estimate(left: Iterable[Training], results: Path) -> str:
    """Estimate how long trainings take, by the speed of runs that are done."""
    if not left:
        return "nothing left to train"
    known: dict[tuple[str, str], list[float]] = {}
    if results.is_dir():
        from bench.record.records import load_records

        records = load_records(results, None)
        for entry in records.timings:
            if entry.metric == "iterations_per_second" and entry.value is not None:
                data = records.config(entry.run).get("data") or {}  # in tables it may be renamed
                key = entry.run.model, data.get("name", entry.run.data)
                known.setdefault(key, []).append(entry.value)
    seconds = 0.0
    for training in left:
        rates = known.get((training.model["name"], training.data["name"]))
        if not rates:
            return "time: unknown, no run of this kind has been timed here yet"
        seconds += training.iterations * len(rates) / sum(rates)
    return f"about {seconds / 60:.1f} minutes, judging by earlier runs here"
