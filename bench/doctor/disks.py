"""Checks of folders: results with their locks, data, weights, preferences, MLflow."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.doctor.diagnosis import Diagnosis, Level, Surroundings
from bench.errors import BenchError, describe_system_error, first_line, mask_passwords

LEAST_SPACE = 2 * 2**30  # bytes; below, a sweep may not end
MOUNTS = Path("/proc/mounts")
NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "fuse.", "afs", "9p")
"""Beginnings of the types of file systems that other machines may write to."""


def check_results(asked: Surroundings) -> Iterator[Diagnosis]:
    """Try whether results can be written, and whether their disk has locks."""
    yield from _folder(asked.results.absolute(), "--results names another folder", locks=True)


def check_data_folder(_: Surroundings) -> Iterator[Diagnosis]:
    """Try whether decoded data and classifiers can be written."""
    from bench.data.base import data_root

    try:
        root = data_root().absolute()
    except BenchError as error:
        yield Diagnosis("FAIL", str(error), "set BENCH_DATA to a folder")
        return
    for diagnosis in _folder(root, "BENCH_DATA names another folder", locks=False):
        # what is there already can be read, and suffices where other machines decode and train
        is_read = diagnosis.level == "FAIL" and root.is_dir()
        yield diagnosis._replace(level="note") if is_read else diagnosis
    decoded, classifiers = len([*root.glob("*.npz")]), len([*root.glob("extractors/classifier-*")])
    yield Diagnosis("ok", f"{decoded} decoded data sets, {classifiers} classifiers")


def check_data_sets(_: Surroundings) -> Iterator[Diagnosis]:
    """Say which data sets that need no options are on this machine."""
    from bench import registry
    from bench.data.base import is_offline
    from bench.spec.components import complete_component, construct

    here, absent = list[str](), list[str]()
    for name in registry.registered("dataset"):
        try:
            source = construct("dataset", complete_component("dataset", {"name": name}, ()))
            (here if source.missing() is None else absent).append(name)
        except Exception:  # a path is missing; or a plug-in, of which another check tells
            continue
    yield Diagnosis("ok", f"here: {', '.join(here)}")
    if absent:
        get = "BENCH_OFFLINE forbids downloads" if is_offline() else "`bench data NAME` gets one"
        yield Diagnosis("ok", f"not here: {', '.join(absent)}; {get}")


def check_weights(asked: Surroundings) -> Iterator[Diagnosis]:
    """Say whether the files of pretrained networks are there, and fit the networks."""
    from bench.metrics.extractors.pretrained_networks import PRETRAINED

    for name, network in PRETRAINED.items():
        # A run refuses a file that an option names.
        level: Level = "FAIL" if name in asked.weights else "note"
        try:
            remedy, path = network.remedy(), asked.weights.get(name) or network.kept()
        except BenchError as error:  # the package of the network is not there
            yield Diagnosis(level, first_line(error))
            continue
        if path is None or not path.exists():
            where = f" (looked for {path})" if path else ""
            yield Diagnosis(level, f"no weights of {name}{where}", remedy)
            continue
        try:
            network.read(path)
        except BenchError as error:
            yield Diagnosis(level, first_line(error).removesuffix(f"; {remedy}"), remedy)
        else:
            yield Diagnosis("ok", f"weights of {name}: {path}")


def check_preferences(_: Surroundings) -> Iterator[Diagnosis]:
    """Read the file of preferences, which every run begins with."""
    from bench.spec.preferences import load_preferences, load_trackers, preferences_path

    path = preferences_path()
    if not os.path.exists(path):
        yield Diagnosis("ok", f"none; {path} may hold some")
        return
    try:
        load_preferences()
        load_trackers(None)
    except BenchError as error:
        yield Diagnosis("FAIL", "; ".join(str(error).splitlines()), f"fix {path}, or move it away")
    else:
        yield Diagnosis("ok", str(path))


def check_mlflow(asked: Surroundings) -> Iterator[Diagnosis]:
    """Open the database that runs are mirrored to; a server is not asked."""
    from bench.trackers.mlflow import MLflow

    uri = MLflow(asked.results, uri=asked.mlflow_uri).uri
    shown = mask_passwords(uri)
    if not uri.startswith("sqlite:///"):
        yield Diagnosis("ok", f"{shown}, which was not asked")
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.exists():
        yield Diagnosis("ok", f"{shown}, made by the first run")
        return
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)
        ) as database:
            [[count]] = database.execute("SELECT count(*) FROM experiments")
    except sqlite3.Error as error:
        remedy = "move it away; `bench mirror` makes it again from the results"
        yield Diagnosis("note", f"{shown} cannot be read ({error})", remedy)
    else:
        yield Diagnosis("ok", f"{shown}, {count} experiments")


def _folder(folder: Path, other: str, *, locks: bool) -> Iterator[Diagnosis]:
    """Write to a folder, or where it would be made, and take a lock there."""
    from bench.record.locks import has_locks

    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryDirectory(prefix=".bench-doctor-", dir=nearest) as made:
            Path(made, "written").write_bytes(bytes(4096))
            locked = not locks or has_locks(Path(made))
        free = shutil.disk_usage(nearest).free
    except OSError as error:
        error.filename = str(nearest)
        text = describe_system_error(error) or f"{error.strerror}: {nearest}"
        yield Diagnosis("FAIL", f"{folder} cannot be written to ({text})", other)
        return
    kind = _file_system(nearest)
    is_shared = kind.startswith(NETWORK)
    text = f"{folder}, {free / 2**30:.1f} GiB free" + (
        f", network disk ({kind})" if is_shared else ""
    )
    if free < LEAST_SPACE:
        yield Diagnosis("note", text, f"free some space, or {other}")
    elif not locked:
        text += ": this disk has no locks, so files stand in for them"
        remedy = "if a machine dies, delete its lock.owner files; or use a disk with locks"
        yield Diagnosis("note", text, remedy)
    else:
        yield Diagnosis("ok", text + (", with locks" if locks else ""))


def _file_system(path: Path) -> str:
    """Return the type of the file system of a path; empty where the system does not say."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    mounts = {fields[1]: fields[2] for line in lines if len(fields := line.split()) > 2}
    place = path.resolve()
    return next((mounts[str(p)] for p in (place, *place.parents) if str(p) in mounts), "")
