"""What a folder says before anything is done: what it is of, and where that comes from."""

import torch

from bench.data.base import DataSet
from bench.errors import BenchError
from bench.execution.source_files import sources_of
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.files import read_json, write_json
from bench.record.provenance import stages_of
from bench.record.run_folder import RunFolder
from bench.spec.run_config import RunConfig


def record_run(run: RunConfig, folder: RunFolder, data: DataSet, worker: Worker) -> None:
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
    record_origin(run, folder, fingerprint, worker, *parts)


def record_origin(
    run: RunConfig, folder: RunFolder, fingerprint: str, worker: Worker, *parts: str
) -> None:
    """Write where the parts of a run that are done now come from."""
    threads = torch.get_num_threads()
    found = sources_of(run, parts)
    origin = provenance.collect(worker.device, worker.command, fingerprint, threads, found)
    provenance.keep(folder.path, origin, anew=not folder.has_learned)


def lacking_snapshots(run: RunConfig, folder: RunFolder) -> list[int]:
    """Return the times of snapshots whose weights are not there."""
    return [step for step in run.steps[:-1] if not folder.snapshot(step).model.exists()]
