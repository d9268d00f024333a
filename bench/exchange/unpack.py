"""Unpack an archive of `bench export` into an empty folder, and check all of it."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError, DamagedRecord, describe_system_error
from bench.evaluation.controls import control_id
from bench.evaluation.saved_rows import saved_row_id
from bench.exchange.archive import FORMAT, LARGEST, MANIFEST, WEIGHTS, Manifest
from bench.exchange.crate import CRATE
from bench.record.checks import check_run
from bench.record.evaluation_rows import SAVED
from bench.record.files import read_json, shape_problem
from bench.record.run_folder import CHECKPOINTS, RunFolder, read_config
from bench.record.shapes import SAFE_NAME, ManifestHead
from bench.record.sweep_folder import read_plan, read_sweep_file
from bench.spec.reserved_names import REAL
from bench.spec.run_config import digest

DEEPEST = 5  # runs/ID/snapshots/STEP/FILE
MOST_FILES = 100_000
RATIO, ALWAYS = 100, 64 * 2**20
"""An archive may unpack to so many times its size and so many bytes more; records are about 10."""

DAMAGE = (OSError, tarfile.TarError, EOFError, zlib.error, LookupError, TypeError, ValueError)


class _Limited:
    """A stream that refuses to give more than some bytes, whatever they are for."""

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BenchError("unpacks to far more than any file of bench export of its size")
        return data


def unpack(path: Path, target: Path) -> Manifest:
    """Unpack an archive and return its manifest; refuse one of which anything is not right."""
    try:
        _extract(path, target)
        return _check(target)
    except DamagedRecord as problem:
        text = str(problem).replace(f"{target}/", "")
        raise BenchError(
            f"{path} is not a file of bench export, or damaged: {text}; nothing was imported"
        ) from problem
    except BenchError as problem:
        raise BenchError(f"{path} {problem}; nothing was imported") from problem
    except DAMAGE as error:
        if describe_system_error(error):
            raise
        raise BenchError(f"{path} is not a file of bench export, or damaged ({error})") from error


def _extract(path: Path, target: Path) -> None:
    most = RATIO * path.stat().st_size + ALWAYS
    seen: set[str] = set()
    with (
        gzip.open(path) as unzipped,
        tarfile.open(fileobj=_Limited(unzipped, most), mode="r|") as archive,  # type: ignore[call-overload]
    ):
        for member in archive:
            _check_member(member, seen)
            seen.add(member.name.lower())  # as on disks that do not tell them apart
            archive.extract(member, target, filter="data")


def _check_member(member: tarfile.TarInfo, seen: set[str]) -> None:
    names = member.name.split("/")
    if not member.isreg() or not all(re.fullmatch(SAFE_NAME, name) for name in names):
        raise BenchError(
            f"holds {member.name!r}, which is not a plain file below its own folder; bench export "
            "writes no such thing"
        )
    if len(names) > DEEPEST or len(member.name) > 500:
        raise BenchError(f"holds {member.name!r}, which is deeper than any file of a run")
    is_large = names[-1] in WEIGHTS + CHECKPOINTS or names[0] in ("judges", CRATE)
    if member.size > LARGEST and not is_large:
        raise BenchError(
            f"holds {member.name!r} of {member.size} bytes, at most {LARGEST} are read"
        )
    if member.name.lower() in seen or len(seen) >= MOST_FILES:
        raise BenchError(f"holds {member.name!r} twice, or more than {MOST_FILES} files")


def _check(target: Path) -> Manifest:
    version = read_json(target / MANIFEST, ManifestHead)["format"]
    if version != FORMAT:
        raise BenchError(f"has format {version}, this program reads format {FORMAT}")
    try:
        manifest = Manifest.model_validate(read_json(target / MANIFEST, ManifestHead))
    except ValidationError as error:
        raise DamagedRecord(f"{MANIFEST}: {shape_problem(error)}") from error
    read_plan(target)
    content = read_sweep_file(target)
    planned = {entry["id"]: entry for entry in content["runs"]}
    controls = {entry["id"]: entry for entry in content.get("controls", [])}
    packed = {path.name for path in (target / "runs").glob("*")}
    if packed != set(manifest.runs) or not packed <= planned.keys() | controls.keys():
        raise DamagedRecord("the runs in it are not those that it names")
    if missing := [name for name in manifest.judges if not (target / name).is_file()]:
        raise DamagedRecord(f"{missing[0]} is not in it")
    for run in manifest.runs:
        _check_run(target / "runs" / run, planned.get(run), controls.get(run))
    return manifest


def _check_run(
    folder: Path, planned: Mapping[str, Any] | None, control: Mapping[str, Any] | None
) -> None:
    """Raise a `DamagedRecord` unless a run is whole, and the one that its name says."""
    check_run(folder)
    if not (folder / "config.json").exists() and not (folder / "done").exists():
        return  # it failed, or was interrupted, before anything was known of it
    document = read_config(folder)
    settings = document["config"]
    expected = _expected_id(folder.name, settings, planned, control)
    if {expected, document.get("id", folder.name)} != {folder.name}:
        raise DamagedRecord(
            f"{folder / 'config.json'} is the configuration of another run than {folder.name}"
        )
    for row in RunFolder(folder).sampling_rows():
        if (
            row.evaluation.exists()
            and digest(read_config(row.path).get("sampling")) != row.path.name
        ):
            raise DamagedRecord(f"{row.path} has other sampling options than its name says")
    for key, known in (("seed", settings.get("seed")), ("model", _name(settings, "model"))):
        if planned and known is not None and planned[key] != known:
            raise DamagedRecord(f"sweep.json has another {key} of {folder.name} than its record")
    if (data := (planned or control or {}).get("data")) != _name(settings, "data"):
        raise DamagedRecord(f"{folder.name} is on other data than {data}")


def _name(settings: Mapping[str, Any], kind: str) -> str | None:
    return (settings.get(kind) or {}).get("name")


def _expected_id(
    run: str,
    settings: Mapping[str, Any],
    planned: Mapping[str, Any] | None,
    control: Mapping[str, Any] | None,
) -> str | None:
    """Return the id that follows from the configuration of a run; None where it has no data."""
    if control:
        count = settings.get("samples_per_class") or 0
        data = settings.get("data")
        return data and control_id(control.get("control") or REAL, data, count)
    if planned and run.startswith(SAVED):
        return saved_row_id(planned["variant"], settings.get("data"), planned["seed"])
    return digest(settings)
