"""The description of an archive or a publication as an RO-Crate, made from the record alone.

It follows RO-Crate 1.1 and the profile Process Run Crate: each run is an action with the software
that did it, its data set and settings, what it left, and when. Dates are those of the record, paths
those of the archive, and there are no names of people or machines, so the same record gives the
same bytes. It describes what the other files hold, and `bench import` does not read it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench.errors import BenchError
from bench.record.provenance import sessions_of
from bench.record.publication_files import CRATE as CRATE
from bench.record.records import Records
from bench.record.sweep_folder import RecordedRun

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

VERSION = "1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"

FORMATS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".npz": "application/zip",
    ".pt": "application/zip",
}
DESCRIPTIONS = {
    "sweep.json": "The sweep: its title, command, runs and comparisons",
    "manifest.json": "What is in the archive",
    "origins.json": "Configuration and origin of each run",
    "config.json": "Complete configuration of the run",
    "provenance.json": "Code, versions, device and data of the run",
    "execution.json": "How the run was executed",
    "rows.jsonl": "Losses over the training",
    "evaluation.jsonl": "Measurements with their protocols",
    "cost.jsonl": "Parameters and arithmetic, counted",
    "timings.jsonl": "Wall-clock times",
    "samples.png": "Samples of each class",
    "samples.npz": "Samples of each class, as arrays",
    "pictures.npz": "What the model does with codes, as arrays",
    "model.pt": "Weights of the model",
    "measurements.csv": "Measurements of all runs",
    "runs.csv": "All runs with their final measurements",
    "cost.csv": "Parameters and arithmetic of all runs, counted",
    "timings.csv": "Wall-clock times of all runs",
}


def describe_files(
    records: Records,
    runs: Iterable[RecordedRun],
    sizes: Mapping[str, int],
    files_of: Callable[[RecordedRun], Collection[str]],
    license: str | None = None,
) -> bytes:
    """Describe files and the runs that they are of.

    Args:
        records: The record of one sweep.
        runs: Those of its runs that the files are about.
        sizes: Path of each file, as it is below the description -> bytes.
        files_of: Returns the paths of the files that a run left.
        license: An SPDX id or an address, where the licence of the files is known.

    Returns:
        The content of `ro-crate-metadata.json`.
    """
    from rocrate.rocrate import ROCrate

    [sweep] = records.sweeps
    crate = ROCrate(version=VERSION)
    root = crate.root_dataset
    root["name"] = sweep.title or sweep.name
    root["description"] = f"Runs, measurements and their origins of the sweep {sweep.name!r}"
    root["conformsTo"] = _add(crate, PROFILE, "CreativeWork", name="Process Run Crate")
    for name in sorted(sizes):
        _add_file(crate, name, sizes[name])
    described: dict[str, Entity] = {}
    times: list[str] = []
    for run in runs:
        id_ = "-".join(filter(None, ("#run", run.id, run.sampling_id)))
        if id_ in described:  # several variants may share a run
            described[id_]["name"] += f"; {_title(run)}"
            continue
        described[id_] = _add_run(crate, id_, run, records, files_of(run))
        times += [described[id_][key] for key in ("startTime", "endTime") if key in described[id_]]
    root["mentions"] = list(described.values())
    if times:
        root["datePublished"] = max(times)
    else:  # in the place of the date of now
        del root["datePublished"]
    if license is not None:
        root["license"] = _add_license(crate, license)
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True)
    return f"{text}\n".encode()


def _add_license(crate: "ROCrate", text: str) -> "Entity":
    is_address = "://" in text  # `httpx` would be an id
    id_ = text if is_address else f"https://spdx.org/licenses/{text}"
    return _add(crate, id_, "CreativeWork", name=text)


def check_license(text: str | None) -> str | None:
    """Return a licence that is an SPDX id or an address; refuse any other text."""
    if text is None or re.fullmatch(r"https?://\S+|[A-Za-z0-9][A-Za-z0-9.+-]*", text):
        return text
    raise BenchError(f"--license {text!r}: give an SPDX id, as CC-BY-4.0, or an address")


def _add(crate: "ROCrate", id_: str, type_: str, **properties: Any) -> "Entity":
    """Add an entity that is no file; the one that is there if its id is known."""
    from rocrate.model.contextentity import ContextEntity

    known = crate.dereference(id_)
    given = {key: value for key, value in properties.items() if value not in (None, "", [])}
    return known or crate.add(ContextEntity(crate, id_, {"@type": type_, **given}))


def _add_file(crate: "ROCrate", name: str, size: int) -> None:
    from rocrate.model.file import File

    base = name.rpartition("/")[2]
    properties = {"name": name, "contentSize": str(size)}
    if description := DESCRIPTIONS.get(base):
        properties["description"] = description
    if form := FORMATS.get(f".{base.rpartition('.')[2]}"):
        properties["encodingFormat"] = form
    crate.add(File(crate, None, dest_path=name, properties=properties))


def _add_run(
    crate: "ROCrate", id_: str, run: RecordedRun, records: Records, files: Collection[str]
) -> "Entity":
    sessions = sessions_of(records.provenance(run))
    ended = [session["ended"] for session in sessions if session.get("ended")]
    used = [_add_data(crate, run)]
    settings = {"variant": run.variant, "model": run.model, "seed": run.seed}
    used += [
        _add(crate, f"#{key}-{quote(str(value), safe='')}", "PropertyValue", name=key, value=value)
        for key, value in settings.items()
        if value is not None
    ]
    return _add(
        crate,
        id_,
        "CreateAction",
        name=_title(run),
        instrument=list({e.id: e for e in (_add_software(crate, s) for s in sessions)}.values()),
        object=used,
        result=[crate.dereference(name) for name in sorted(files)],
        startTime=sessions[0].get("started"),
        endTime=ended[-1] if ended else None,
        actionStatus=FAILED if run.state == "failed" else COMPLETED if run.is_measured else None,
    )


def _title(run: RecordedRun) -> str:
    return run.title if run.seed is None else f"{run.title}, seed {run.seed}"


def _add_data(crate: "ROCrate", run: RecordedRun) -> "Entity":
    """Add a data set, by the fingerprint of what was loaded."""
    id_ = f"#data-{quote(run.called, safe='')}-{run.fingerprint[:12]}".rstrip("-")
    return _add(crate, id_, "Dataset", name=run.called, identifier=run.fingerprint)


def _add_software(crate: "ROCrate", session: Mapping[str, Any]) -> "Entity":
    """Add bench in the version of a session, with the versions of its libraries."""
    commit = session.get("commit") or ""
    commit += f"+{session['diff']}" if session.get("diff") else ""
    versions = {"Python": session.get("python"), **session.get("versions", {})}
    needed = [
        _add(crate, f"#{name}-{version}", "SoftwareApplication", name=name, softwareVersion=version)
        for name, version in versions.items()
        if version and version != "absent"
    ]
    text = json.dumps([session.get("bench"), commit, versions], sort_keys=True)
    return _add(
        crate,
        f"#bench-{hashlib.sha256(text.encode()).hexdigest()[:12]}",
        "SoftwareApplication",
        name="bench",
        softwareVersion=session.get("bench"),
        identifier=commit,
        softwareRequirements=needed,
    )
