"""Merging what `bench export` has packed: all of it, or nothing if anything is in conflict."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.base import data_root
from bench.errors import BenchError
from bench.exchange.archive import CHECKPOINTS, SAFE_NAME, WEIGHTS, classifier_hash, extract
from bench.record.files import read_json, write_atomically, write_json
from bench.record.jsonl import by_key, read_jsonl
from bench.record.run_folder import Busy, RunFolder, arriving
from bench.record.sweep_folder import read_sweep_file


@dataclass(frozen=True)
class ImportResult:
    """What was imported: runs that were not there, runs that were, and notices for the user."""

    folder: Path
    added: tuple[str, ...]
    kept: tuple[str, ...]
    notices: tuple[str, ...]


def merge_archive(path: Path, results: Path, into: str | None = None) -> ImportResult:
    """Merge an archive into the sweep `into` (that of the archive where None).

    Nothing is written if the archive is damaged or unsafe, or holds other measurements of a run
    that is here, or another configuration of one of its variants.
    """
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = Path(scratch)
        manifest = extract(path, unpacked)
        name = into or manifest.sweep
        if not re.fullmatch(SAFE_NAME, name):
            raise BenchError(f"{name!r} cannot be the name of a sweep")
        folder = results / name
        _refuse_conflicts(path, unpacked, folder, manifest.runs)
        added = [run for run in manifest.runs if _add(unpacked / "runs" / run, folder / run)]
        _merge_plans(unpacked, folder)
        notices = [text for file in manifest.judges if (text := _add_classifier(unpacked / file))]
    kept = [run for run in manifest.runs if run not in added]
    notices += [
        f"{folder / run} has not ended here, and was left as it is: it is under way in another "
        "process, or failed there too"
        for run in kept
        if not (folder / run / "done").exists()
    ]
    return ImportResult(folder, tuple(added), tuple(kept), tuple(notices))


def _refuse_conflicts(path: Path, unpacked: Path, folder: Path, runs: list[str]) -> None:
    """Refuse other measurements of the same run, and other configurations of the same variant."""
    problems = [
        f"  {folder / run}: {text}"
        for run in runs
        if (folder / run / "done").exists()
        and (text := _conflict(folder / run, unpacked / "runs" / run))
    ]
    if problems:
        raise BenchError(
            f"{path} has other measurements of runs that are here; nothing was imported:\n"
            + "\n".join(problems)
            + "\nanother machine gives other last digits; to have both: --into ANOTHER_NAME"
        )
    if not (folder / "sweep.json").exists():
        return
    ours = _configurations(folder, folder)
    theirs = _configurations(unpacked, unpacked / "runs")
    if mixed := [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]:
        raise BenchError(
            f"{path} has other configurations of rows that are in {folder}, whose means would be "
            f"over both: {', '.join(sorted(mixed))}; nothing was imported; to have both: --into "
            "ANOTHER_NAME, and bench compare says what differs"
        )


def _conflict(ours: Path, theirs: Path) -> str:
    """Return the first value that was measured in the same way, and came out otherwise."""
    here, there = (by_key(read_jsonl(RunFolder(run).evaluation)) for run in (ours, theirs))
    for key, entry in here.items():
        ours_is, theirs_is = entry.get("value"), there.get(key, entry).get("value")
        if ours_is != theirs_is:
            return f"{entry['metric']} is {ours_is} here, {theirs_is} there"
    return ""


def _configurations(plan: Path, runs: Path) -> dict[str, Mapping[str, Any]]:
    """Return the configuration of each variant that was trained, but for the seed and paths."""
    configurations = {}
    for entry in read_sweep_file(plan)["runs"]:
        path = runs / entry["id"] / "config.json"
        config = read_json(path)["config"] if path.exists() else {}
        if "seed" in config:
            data = {key: (config.get(key) or {}) | {"path": None} for key in ("data", "unlabeled")}
            configurations[entry["variant"]] = config | data | {"seed": None}
    return configurations


def _add(arrived: Path, target: Path) -> bool:
    """Put a run where it belongs, unless it has ended or is under way there.

    What was begun there gives way to what has ended elsewhere.
    """
    if not target.exists():
        with arriving(target) as partial:
            shutil.copytree(arrived, partial, dirs_exist_ok=True)
        return True
    ends = [name for name in ("done", "failed") if (arrived / name).exists()]
    try:
        with RunFolder(target).locked():
            if (target / "done").exists() or ends != ["done"]:
                return False
            RunFolder(target).reopen()
            for name in CHECKPOINTS + WEIGHTS:
                (target / name).unlink(missing_ok=True)  # killed here, it begins anew
            shutil.rmtree(target / "snapshots", ignore_errors=True)

            def mark(folder: str, names: list[str]) -> list[str]:
                return ["done"] if Path(folder) == arrived else []

            shutil.copytree(arrived, target, ignore=mark, dirs_exist_ok=True)
            shutil.copy(arrived / "done", target / "done")
            return True
    except Busy:
        return False


def _merge_plans(unpacked: Path, folder: Path) -> None:
    """Add what a sweep expects to what is expected here already."""
    theirs = read_sweep_file(unpacked)
    ours = read_sweep_file(folder) if (folder / "sweep.json").exists() else theirs
    for part, axes in (("runs", ("id", "variant")), ("controls", ("id",))):
        entries: dict[tuple[str, ...], Any] = {}
        for entry in [*ours.get(part, []), *theirs.get(part, [])]:
            entries.setdefault(tuple(entry[axis] for axis in axes), entry)
        ours[part] = list(entries.values())
    quantities = theirs.get("quantities", {}) | ours.get("quantities", {})
    more = {"quantities": quantities} if quantities else {}
    write_json(folder / "sweep.json", ours | more | {"sweep": folder.name})


def _add_classifier(arrived: Path) -> str:
    """Keep a classifier, so that what is measured here is measured by it; else say why not."""
    target = data_root() / "extractors" / arrived.name
    digits = classifier_hash(arrived)
    if digits is None:
        return f"{arrived.name}, a classifier that measured these runs, is damaged and was left out"
    if not target.exists():
        write_atomically(target, arrived.read_bytes())
    elif classifier_hash(target) != digits:
        return (
            f"{target} is another network than the one that measured these runs ({digits[:8]}), so "
            "their measurements stand in columns of their own; delete it and import again to "
            "measure new runs by theirs"
        )
    return ""
