"""The records of a sweep as one file, to be merged elsewhere; the same records, the same bytes."""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from bench.console import say, say_left_out
from bench.data.base import data_root
from bench.errors import BenchError, DamagedRecord, UnknownName
from bench.exchange.crate import CRATE, describe_files
from bench.record.checks import check_run
from bench.record.files import read_regular, write_atomically
from bench.record.locks import Busy
from bench.record.records import load_records
from bench.record.run_folder import CHECKPOINTS, LOCK, RETRAINING, SAMPLING_ROWS, RunFolder
from bench.record.shapes import Name
from bench.record.sweep_folder import read_plan

FORMAT: Literal[1] = 1
MANIFEST = "manifest.json"
WEIGHTS = ("model.pt",)
TEMPORARY = (LOCK, "progress.json", ".")
LARGEST = 8 * 2**20  # bytes of a file that is packed


class Manifest(BaseModel):
    """The content of an archive's `manifest.json`; `judges` are files of classifiers."""

    format: Literal[1]
    sweep: Name
    runs: list[Name]
    judges: list[Annotated[str, Field(pattern=r"^judges/classifier-[0-9a-f]{16}\.pt$")]]


@dataclass(frozen=True)
class ExportedArchive:
    """An archive that was written."""

    runs: int  # with controls
    left_out: tuple[str, ...]  # runs that have not ended, are locked by another process, or damaged
    classifiers: int


def export_sweep(
    folder: Path, target: Path, *, weights: bool, checkpoints: bool, license: str | None = None
) -> ExportedArchive:
    """Pack the records of the sweep in `folder`, with `checkpoints` also of unfinished runs."""
    sweep, plan = read_plan(folder)
    extra = (WEIGHTS if weights else ()) + (CHECKPOINTS if checkpoints else ())
    ids = list(dict.fromkeys(run.id for run in plan))
    packed = {run: _files(folder / run, extra, unfinished=checkpoints) for run in ids}
    runs = [run for run in ids if packed[run]]
    if not runs:
        raise BenchError(f"{folder} holds no run that has ended; nothing was exported")
    content = {f"runs/{run}/{n}": data for run in runs for n, data in packed[run].items()}
    classifiers = {f"judges/{path.name}": path.read_bytes() for path in _classifiers(content)}
    manifest = Manifest(format=FORMAT, sweep=sweep.name, runs=runs, judges=sorted(classifiers))
    text = json.dumps(manifest.model_dump(), indent=2, sort_keys=True) + "\n"
    content |= {"sweep.json": read_regular(folder / "sweep.json"), **classifiers}
    content |= {MANIFEST: text.encode()}
    try:
        content[CRATE] = _describe(folder, content, license)
    except ModuleNotFoundError as missing:  # results shall not stay on a machine that lacks it
        say(f"note: without {CRATE}, since the package {missing.name} is not installed")
    try:
        write_atomically(target, _tar(content))
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror}") from error
    left_out = tuple(run for run in ids if not packed[run])
    return ExportedArchive(len(runs), left_out, len(classifiers))


def _describe(folder: Path, content: Mapping[str, bytes], license: str | None) -> bytes:
    """Return the description of the runs in an archive and of their files."""
    folder = folder.resolve()
    records = load_records(folder.parent, [folder.name])
    files: dict[str, list[str]] = {}  # folder of a run or a row -> paths in the archive
    for name in content:
        if row := re.match(rf"runs/([^/]+/{SAMPLING_ROWS}/[^/]+|[^/]+)/", name):
            files.setdefault(row[1], []).append(name)
    paths = {run: run.path.relative_to(folder).as_posix() for run in records.runs}
    packed = [run for run in records.runs if paths[run] in files]
    sizes = {name: len(data) for name, data in content.items()}
    return describe_files(records, packed, sizes, lambda run: files[paths[run]], license)


def _files(folder: Path, extra: Sequence[str], *, unfinished: bool) -> dict[str, bytes]:
    """Return the files of a run by name; none if it has not ended, is locked, or is damaged."""
    if not folder.is_dir():
        return {}
    with suppress(Busy), RunFolder(folder).locked(to_write=False):
        try:
            check_run(folder)
            if unfinished or any((folder / name).exists() for name in ("done", "failed")):
                return {
                    path.relative_to(folder).as_posix(): read_regular(path)
                    for path in sorted(folder.rglob("*"))
                    if _is_packed(path, extra)
                }
        except DamagedRecord as problem:
            say_left_out(problem)
    return {}


def _is_packed(path: Path, extra: Sequence[str]) -> bool:
    if not path.is_file() or path.is_symlink() or path.parent.name == RETRAINING:
        return False
    if path.name in extra:
        return True
    is_temporary = path.name.startswith(TEMPORARY) or ".partial" in path.name
    is_left_out = is_temporary or path.name in WEIGHTS + CHECKPOINTS
    return not is_left_out and path.stat().st_size <= LARGEST


def _classifiers(content: Mapping[str, bytes]) -> list[Path]:
    """Return the local files of classifiers whose hashes are in the protocols of the runs."""
    records = [data for name, data in content.items() if name.endswith("evaluation.jsonl")]
    hashes = {h.decode() for data in records for h in re.findall(rb"@([0-9a-f]{8})", data)}
    files = sorted((data_root() / "extractors").glob("classifier-*.pt"))
    return [path for path in files if hashes and (classifier_hash(path) or "")[:8] in hashes]


def classifier_hash(path: Path) -> str | None:
    """Return the hash of the weights of a classifier, or None if the file does not hold one."""
    import torch

    from bench.metrics.extractors.weight_files import weights_hash

    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        return str(kept["hash"]) if weights_hash(kept["weights"]) == kept["hash"] else None
    except Exception:  # a damaged file may raise anything
        return None


def _tar(content: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar that depends on names and contents alone; the manifest comes first."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(content, key=lambda name: (name != MANIFEST, name)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content[name]), 0o644
            archive.addfile(member, io.BytesIO(content[name]))
    return buffer.getvalue()


def find_sweep_folder(results: Path, name: str) -> Path:
    """Return the folder of a sweep, given by its name or its folder; suggests the nearest."""
    for folder in (results / name, Path(name)):
        if (folder / "sweep.json").is_file():
            return folder
    known = [path.parent.name for path in results.glob("*/sweep.json")]
    raise UnknownName("sweep", name, known)
