"""The records of a sweep as one file, to be merged elsewhere.

The same records give the same bytes. A file is read with suspicion: nothing in it is taken for a
program, and nothing is written outside of the folder that is named.
"""

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.base import data_root
from bench.errors import BenchError, UnknownName
from bench.record.files import read_json, write_atomically
from bench.record.lock import Busy
from bench.record.run_folder import RunFolder
from bench.record.sweep_folder import read_plan, read_sweep_file

FORMAT = 1
MANIFEST = "manifest.json"
WEIGHTS = ("model.pt",)
CHECKPOINTS = ("checkpoint.pt", "checkpoint.pt.previous")
PASSING = ("lock", "progress.json")
LARGEST = 8 * 2**20
"""Pictures beyond so many bytes stay where they are."""

JUDGE = re.compile(r"judges/classifier-[0-9a-f]{16}\.pt")
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Packed:
    """What was exported.

    Attributes:
        path: The file.
        runs: How many finished runs it holds, failed ones and controls among them.
        left: Runs that are not in it, since they have not ended or are held by another process.
        judges: How many classifiers it holds.
    """

    path: Path
    runs: int
    left: tuple[str, ...]
    judges: int


def export(folder: Path, target: Path, *, weights: bool, checkpoints: bool) -> Packed:
    """Pack the records of a sweep into one file; what has not ended is left out.

    Args:
        folder: `results/<sweep>`.
        target: The file, a gzipped tar.
        weights: Whether to pack the weights of models.
        checkpoints: Whether to pack runs that have not ended, with their checkpoints.

    Returns:
        What was packed.

    Raises:
        BenchError: If there is nothing to pack, or it cannot be written.
    """
    sweep, runs = read_plan(folder)
    kinds = (WEIGHTS if weights else ()) + (CHECKPOINTS if checkpoints else ())
    content: dict[str, bytes] = {}
    left: list[str] = []
    packed: list[str] = []
    for run in dict.fromkeys(run.id for run in runs):
        files = _of_run(folder / run, kinds, unfinished=checkpoints)
        if files is None:
            left.append(run)
            continue
        packed.append(run)
        content |= {f"runs/{run}/{name}": held for name, held in files.items()}
    if not packed:
        raise BenchError(f"{folder} holds no run that has ended; nothing was exported")
    content["sweep.json"] = (folder / "sweep.json").read_bytes()
    judges = {f"judges/{path.name}": path.read_bytes() for path in _judges(content)}
    about = {"format": FORMAT, "sweep": sweep.name, "runs": packed, "judges": sorted(judges)}
    content |= judges
    content[MANIFEST] = (json.dumps(about, indent=2, sort_keys=True) + "\n").encode()
    try:
        write_atomically(target, _tar(content))
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror}") from error
    return Packed(target, len(packed), tuple(left), len(judges))


def _of_run(folder: Path, kinds: Sequence[str], *, unfinished: bool) -> dict[str, bytes] | None:
    """Return the files of a run by name; None if it has not ended, or is held."""
    if not folder.is_dir():
        return None
    try:
        with RunFolder(folder).locked():
            if not unfinished and not any((folder / n).exists() for n in ("done", "failed")):
                return None
            return {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if _is_wanted(path, kinds)
            }
    except Busy:
        return None


def _is_wanted(path: Path, kinds: Sequence[str]) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    if path.name in kinds:
        return True
    passing = path.name in PASSING or path.name.startswith(".") or ".partial" in path.name
    return not (passing or path.name in WEIGHTS + CHECKPOINTS) and path.stat().st_size <= LARGEST


def _judges(content: dict[str, bytes]) -> list[Path]:
    """Return the files of the classifiers that gave the figures, as far as they are here."""
    rows = [held for name, held in content.items() if name.endswith("evaluation.jsonl")]
    hashes = {found.decode() for held in rows for found in re.findall(rb"@([0-9a-f]{8})", held)}
    files = sorted((data_root() / "extractors").glob("classifier-*.pt"))
    return [path for path in files if hashes and (judge_hash(path) or "")[:8] in hashes]


def judge_hash(path: Path) -> str | None:
    """Return the hash of the weights of a classifier, or None if the file is none."""
    import torch

    from bench.metrics.extractors.domain import weights_hash

    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        return str(kept["hash"]) if weights_hash(kept["weights"]) == kept["hash"] else None
    except Exception:  # whatever a damaged file makes of itself
        return None


def _tar(content: dict[str, bytes]) -> bytes:
    """Return a gzipped tar that depends on names and contents alone; the manifest comes first."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(content, key=lambda name: (name != MANIFEST, name)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content[name]), 0o644
            archive.addfile(entry, io.BytesIO(content[name]))
    return buffer.getvalue()


def extract(path: Path, target: Path) -> None:
    """Unpack a file; anything but plain files at safe places is refused with a `BenchError`."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            for entry in archive:
                parts = entry.name.split("/")
                if not entry.isreg() or not all(map(SAFE.fullmatch, parts)):
                    raise BenchError(
                        f"{path} holds {entry.name!r}, which is no plain file below its own "
                        "folder; bench export writes no such thing, and nothing of it was used"
                    )
                archive.extract(entry, target, filter="data")
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise BenchError(f"{path} is not a file of bench export, or damaged ({error})") from error


def read_manifest(path: Path, there: Path) -> dict[str, Any]:
    """Return what an unpacked file says of itself: `sweep`, `runs` (ids), `judges` (files).

    Args:
        path: The file, for messages.
        there: Where it was unpacked.

    Returns:
        The manifest; all that it names is there, by names that are safe.

    Raises:
        BenchError: If it is damaged, or of another format.
    """
    try:
        about: dict[str, Any] = read_json(there / MANIFEST)
        if about["format"] != FORMAT:
            raise BenchError(
                f"{path} has format {about['format']}, this program reads format {FORMAT}"
            )
        plan = read_sweep_file(there)
        expected = [entry["id"] for part in ("runs", "controls") for entry in plan.get(part, [])]
        named = all(map(SAFE.fullmatch, [about["sweep"], *about["runs"], *expected]))
        named = named and all(map(JUDGE.fullmatch, about["judges"]))
        whole = all((there / "runs" / run).is_dir() for run in about["runs"])
        if not (named and whole and all((there / judge).is_file() for judge in about["judges"])):
            raise ValueError("something that it names is not in it, or has an unsafe name")
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise BenchError(f"{path} is not a file of bench export, or damaged ({error})") from error
    return about


def find_sweep(results: Path, name: str) -> Path:
    """Return the folder of a sweep.

    Args:
        results: Root of all results.
        name: Its name, or its folder.

    Returns:
        The folder.

    Raises:
        UnknownName: If there is none; suggests the nearest.
    """
    for folder in (results / name, Path(name)):
        if (folder / "sweep.json").is_file():
            return folder
    known = [path.parent.name for path in results.glob("*/sweep.json")]
    raise UnknownName("sweep", name, known)
