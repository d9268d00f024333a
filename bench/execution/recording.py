"""What a folder says before anything is done: what it is of, and where that comes from."""

from collections.abc import Mapping
from typing import Any

import torch

from bench.config import RunConfig, digest
from bench.data.base import DataSet
from bench.errors import BenchError
from bench.execution import provenance
from bench.execution.job import RunFolder, read_json, write_json
from bench.execution.sources import sources_of
from bench.execution.workplace import Workplace
from bench.reporting.environments import stages_of
from bench.reporting.plan import reference_title


def record_run(run: RunConfig, folder: RunFolder, data: DataSet, workplace: Workplace) -> None:
    """Write what the run is and where it comes from; refuse to go on with other data."""
    fingerprint = data.fingerprints
    if folder.has_learned and (origin := folder.path / provenance.NAME).exists():
        recorded = read_json(origin)
        before = recorded["data_fingerprint"]
        if before != fingerprint:
            raise BenchError(
                f"the data set {data.spec.name!r} is not the one that this run began with "
                f"(fingerprint {fingerprint[:12]}, recorded {before[:12]}); delete {folder.path} "
                "to start anew"
            )
        stages = stages_of(recorded)
        measured = [held for s in stages if (held := s.get("sources", {}).get("evaluation"))]
        if measured and measured[-1] != sources_of(run)["evaluation"]:
            for step in run.steps[:-1]:  # so that all figures of a run are by the same code
                folder.snapshot(step).reopen()
    record = {"evaluation": run.measured, "config": run.canonical}
    write_json(folder.path / "config.json", {"id": run.id, **record})
    trains = not folder.model.exists() or lacking_snapshots(run, folder)
    parts = ("training", "evaluation") if trains else ("evaluation",)
    record_origin(run, folder, fingerprint, workplace, *parts)


def record_origin(
    run: RunConfig, folder: RunFolder, fingerprint: str, workplace: Workplace, *parts: str
) -> None:
    """Write where the parts of a run that are done now come from."""
    threads = torch.get_num_threads()
    found = sources_of(run, parts)
    origin = provenance.collect(workplace.device, workplace.command, fingerprint, threads, found)
    provenance.keep(folder.path, origin, anew=not folder.has_learned)


def lacking_snapshots(run: RunConfig, folder: RunFolder) -> list[int]:
    """Return the times of snapshots whose weights are not there."""
    return [step for step in run.steps[:-1] if not folder.snapshot(step).model.exists()]


def reference_config(name: str, data: Mapping[str, Any], per_class: int) -> dict[str, Any]:
    """Return what stands in the `config.json` of a reference."""
    return {"data": data, "reference": reference_title(name), "samples_per_class": per_class}


def reference_id(name: str, data: Mapping[str, Any], per_class: int) -> str:
    """Return the folder name of a reference.

    Args:
        name: Which reference.
        data: Name and options of the data set, complete.
        per_class: How many of each class are asked for.

    Returns:
        The name.
    """
    return f"{name}-{digest({'data': data, 'samples_per_class': per_class})}"
