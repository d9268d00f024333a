"""What a run has left from before: weights to load, and measurements that were added to it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.console import say
from bench.errors import BenchError, DamagedRecord, first_few
from bench.evaluation.trained_weights import load_trained, refuse_other_data
from bench.execution.source_files import MOST_NAMED, code_of_metric, sources_of
from bench.metrics.base import Context
from bench.record import provenance
from bench.record.evaluation_rows import IMPORTED
from bench.record.jsonl import by_key, read_entries
from bench.record.provenance import changed_files
from bench.record.run_folder import RunFolder
from bench.spec.run_config import RunConfig
from bench.training.interface import ConditionalGenerator

Entry = dict[str, Any]


def trained_before(
    run: RunConfig, folder: RunFolder, context: Context
) -> ConditionalGenerator | None:
    """Return the model if all of its training is done; refuse to continue what is another run."""
    if not folder.has_learned:
        return None
    if problem := folder.other_run():
        raise BenchError(problem)
    refuse_other_data(folder.path, context.data, f"; delete {folder.path} to start again")
    if not folder.model.exists() or lacking_snapshots(run, folder):
        return None
    return load_own(run, folder, folder.model, context)


def load_own(
    run: RunConfig, folder: RunFolder, weights: Path, context: Context
) -> ConditionalGenerator:
    """Return the model with weights of a run; where they cannot be read, name code that changed."""
    try:
        return load_trained(run.training, context.data, weights, context.device)
    except DamagedRecord as problem:
        first, *_ = provenance.sessions_of(provenance.read_provenance(folder.path))
        files = changed_files(first.get("sources", {}), sources_of(run)).get("model")
        if not files:
            raise
        raise BenchError(
            f"{problem}; changed since it was trained: {first_few(sorted(files), MOST_NAMED)}"
        ) from problem


def added_before(folder: RunFolder) -> list[Entry]:
    """Return what `bench evaluate --record`, or an import, has added to measured weights."""
    with suppress(DamagedRecord):
        return [entry for entry in read_entries(folder.evaluation) if entry.get("added")]
    return []


def added_still(folder: RunFolder, added: list[Entry], measured: list[Entry]) -> list[Entry]:
    """Return what was added and not measured now, unless `--record` did so by other code."""
    known = by_key(measured)
    others = [dict(entry) for key, entry in by_key(added).items() if key not in known]
    kept = [entry for entry in others if _is_of_this_code(entry["added"])]
    if left := dict.fromkeys(entry["metric"] for entry in others if entry not in kept):
        say(f"  {folder.path}: left out what --record had added by other code: {', '.join(left)}")
    return kept


def _is_of_this_code(added: str) -> bool:
    """Return whether that is the code of its metric now, or is not known."""
    if added == IMPORTED:
        return True
    with suppress(BenchError):  # the metric is not registered any more
        return code_of_metric(added.partition("@")[0]) == added
    return False


def lacking_snapshots(run: RunConfig, folder: RunFolder) -> list[int]:
    """Return the iterations of snapshots whose weights are missing."""
    return [step for step in run.steps[:-1] if not folder.snapshot(step).model.exists()]
