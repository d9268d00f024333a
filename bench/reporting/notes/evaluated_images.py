"""Where rows come from that no sweep has trained: what `bench evaluate` kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.record.records import Records, plain, seeds
from bench.reporting.tables.table import Note, Row
from bench.spec.reserved_names import EVALUATIONS


def origin_notes(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say what the rows of `bench evaluate` are: images of another program, or other samples.

    Args:
        records: What the table is made from.
        rows: Its rows.

    Returns:
        One note, or none.
    """
    labels = {row.variant: row.label for row in rows if row.sweep == EVALUATIONS}
    items = []
    for run in plain(records.runs[records.runs["sweep"] == EVALUATIONS]):
        config = records.config(run)
        if run["variant"] in labels and "evaluated" in config:
            seed = "".join(f", seed {number}" for number in seeds(run))
            items.append(f"{labels[run['variant']]}{seed}: {_origin(config['evaluated'])}")
    return [Note("Measured by bench evaluate, not trained by a sweep:", tuple(items))] * bool(items)


def _origin(evaluated: dict[str, Any]) -> str:
    """Return one origin for people."""
    if "run" in evaluated:
        run = "/".join(Path(evaluated["run"]).parts[-2:])
        return f"the run {run}, drawn with sample seed {evaluated['sample_seed']}"
    return (
        f"images of {Path(evaluated['path']).name} (sha256 {evaluated['sha256'][:12]}), "
        f"{evaluated['per_class']} of each class"
    )
