"""Merging what `bench export` has packed: all of it, or nothing if anything is in conflict."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.base import data_root
from bench.errors import BenchError
from bench.exchange.archive import (
    CHECKPOINTS,
    SAFE,
    WEIGHTS,
    extract,
    judge_hash,
    read_manifest,
)
from bench.record.files import read_json, write_atomically, write_json
from bench.record.jsonl import by_key, read_jsonl
from bench.record.lock import Busy
from bench.record.run_folder import RunFolder, arriving
from bench.record.sweep_folder import read_sweep_file


@dataclass(frozen=True)
class Merged:
    """What was imported.

    Attributes:
        folder: The sweep that it is in now.
        added: Ids of runs that were not there.
        kept: Ids of runs that were there, with the same figures.
        notices: What the user should know.
    """

    folder: Path
    added: tuple[str, ...]
    kept: tuple[str, ...]
    notices: tuple[str, ...]


def merge(path: Path, results: Path, into: str | None = None) -> Merged:
    """Merge an exported file into the results; nothing is written if anything is in conflict.

    Args:
        path: The file.
        results: Root of all results.
        into: Name of the sweep to merge into; that of the file where None.

    Returns:
        What was merged.

    Raises:
        BenchError: If the file is damaged or unsafe, or holds other figures of a run that is there
            or another configuration of one of its variants.
    """
    with tempfile.TemporaryDirectory() as scratch:
        there = Path(scratch)
        extract(path, there)
        about = read_manifest(path, there)
        name = into or about["sweep"]
        if not SAFE.fullmatch(name):
            raise BenchError(f"{name!r} cannot be the name of a sweep")
        folder = results / name
        runs = {run: folder / run for run in about["runs"]}
        _refuse_conflicts(path, there, runs)
        if (folder / "sweep.json").exists():
            _refuse_mixtures(path, there, folder)
        added = [run for run, target in runs.items() if _place(there / "runs" / run, target)]
        _merge_plan(there, folder, name)
        notices = [text for judge in about["judges"] if (text := _place_judge(there / judge))]
        notices += [
            f"{target} has not ended here, and was left as it is: it is under way in another "
            "process, or failed there too"
            for run, target in runs.items()
            if run not in added and not (target / "done").exists()
        ]
    kept = [run for run in runs if run not in added]
    return Merged(folder, tuple(added), tuple(kept), tuple(notices))


def _refuse_conflicts(path: Path, there: Path, runs: dict[str, Path]) -> None:
    problems = [
        f"  {target}: {text}"
        for run, target in runs.items()
        if (target / "done").exists()
        for text in _conflicts(target, there / "runs" / run)
    ]
    if problems:
        raise BenchError(
            f"{path} has other figures of runs that are here; nothing was imported:\n"
            + "\n".join(problems)
            + "\nanother machine gives other last digits; to have both: --into ANOTHER_NAME"
        )


def _refuse_mixtures(path: Path, there: Path, folder: Path) -> None:
    ours = _configurations(folder, folder)
    theirs = _configurations(there, there / "runs")
    if mixed := [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]:
        raise BenchError(
            f"{path} has other configurations of rows that are in {folder}, whose means would be "
            f"over both: {', '.join(sorted(mixed))}; nothing was imported; to have both: --into "
            "ANOTHER_NAME, and bench compare says what differs"
        )


def _configurations(plan: Path, runs: Path) -> dict[str, dict[str, Any]]:
    """Return the configuration of each variant that was trained, but for the seed and paths."""
    found = {}
    for entry in read_sweep_file(plan)["runs"]:
        config = runs / entry["id"] / "config.json"
        held = read_json(config)["config"] if config.exists() else {}
        if "seed" in held:
            sources = {key: (held.get(key) or {}) | {"path": None} for key in ("data", "unlabeled")}
            found[entry["variant"]] = held | sources | {"seed": None}
    return found


def _conflicts(ours: Path, theirs: Path) -> Iterator[str]:
    """Yield the first figure that was measured in the same way, and came out otherwise."""
    mine, other = (by_key(read_jsonl(folder / "evaluation.jsonl")) for folder in (ours, theirs))
    for key, row in mine.items():
        here, there = row.get("value"), other.get(key, row).get("value")
        if here != there:
            yield f"{row['metric']} is {here} here, {there} there"
            return


def _place(arrived: Path, target: Path) -> bool:
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
            left = shutil.ignore_patterns(*ends) if ends else None
            shutil.copytree(arrived, target, ignore=left, dirs_exist_ok=True)
            shutil.copy(arrived / "done", target / "done")
            return True
    except Busy:
        return False


def _merge_plan(theirs: Path, ours: Path, name: str) -> None:
    """Add what a sweep expects to what is expected here already."""
    plan = read_sweep_file(theirs)
    if (ours / "sweep.json").exists():
        here = read_sweep_file(ours)
        for part, axes in (("runs", ("id", "variant")), ("controls", ("id",))):
            known = [[entry[axis] for axis in axes] for entry in here.get(part, [])]
            further = [
                entry for entry in plan.get(part, []) if [entry[axis] for axis in axes] not in known
            ]
            here[part] = here.get(part, []) + further
        plan = here
    write_json(ours / "sweep.json", plan | {"sweep": name})


def _place_judge(arrived: Path) -> str | None:
    """Keep a classifier, so that what is measured here is judged by it; else say why not."""
    target = data_root() / "extractors" / arrived.name
    digits = judge_hash(arrived)
    if digits is None:
        return f"{arrived.name}, a classifier that judges, is damaged and was left out"
    if not target.exists():
        write_atomically(target, arrived.read_bytes())
        return None
    if judge_hash(target) == digits:
        return None
    return (
        f"{target} is another network than the one that judged these runs ({digits[:8]}), so their "
        "figures stand in columns of their own; delete it and import again to measure new runs by "
        "theirs"
    )
