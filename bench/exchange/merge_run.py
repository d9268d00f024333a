"""Merge one run of an archive with the run of that name here."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.exchange.archive import WEIGHTS
from bench.record.evaluation_rows import IMPORTED, all_metrics, samples_of
from bench.record.files import settings_text, write_json
from bench.record.jsonl import by_key, read_entries, write_jsonl
from bench.record.locks import Busy
from bench.record.run_folder import (
    CHECKPOINTS,
    SAMPLING_ROWS,
    RunFolder,
    arriving,
    read_config,
)
from bench.record.sweep_folder import settings_of
from bench.spec.reserved_names import EVALUATIONS


class MergedRun(NamedTuple):
    """What became of a run: copied, or kept, maybe with further measurements.

    `left_out` says what was not added to one that was kept, and why; else it is empty.
    """

    is_copied: bool = False
    measurements: int = 0
    left_out: str = ""


def merge_run(there: RunFolder, here: RunFolder) -> MergedRun:
    """Copy a run, unless it has ended or is under way here.

    To one that has ended, rows and measurements are added that are there alone.
    """
    if not here.path.exists():
        with suppress(FileExistsError):  # `bench run` has begun it meanwhile
            with arriving(here.path) as partial:
                shutil.copytree(there.path, partial, dirs_exist_ok=True)
            return MergedRun(is_copied=True)
    with suppress(Busy), here.locked():
        if here.status().is_measured:
            return _add_what_is_new(there, here)
        if there.status().state == "done":
            _replace(there, here)
            return MergedRun(is_copied=True)
    return MergedRun()


def conflicts(there: RunFolder, here: RunFolder) -> Iterator[str]:
    """Yield each row of a run with its first value that differs for the same protocol."""
    for theirs, ours in [(there, here), *_rows(there, here)]:
        if not ours.status().is_measured:
            continue
        packed, present = _measured(theirs), _measured(ours)
        for key, entry in present.items():
            value, other = entry.get("value"), packed.get(key, entry).get("value")
            if value != other:
                yield f"{ours.path}: {entry['metric']} is {value} here, {other} there"
                break


def _replace(there: RunFolder, here: RunFolder) -> None:
    """Put a run in the place of one that has not ended, with `done` as the last file."""
    here.reopen()
    for name in CHECKPOINTS + WEIGHTS:
        (here.path / name).unlink(missing_ok=True)  # killed here, it begins again
    for below in ("snapshots", SAMPLING_ROWS):
        shutil.rmtree(here.path / below, ignore_errors=True)

    def left_for_last(folder: str, names: list[str]) -> list[str]:
        return ["done"] if Path(folder) == there.path else []

    shutil.copytree(there.path, here.path, ignore=left_for_last, dirs_exist_ok=True)
    shutil.copy(there.path / "done", here.path / "done")


def _add_what_is_new(there: RunFolder, here: RunFolder) -> MergedRun:
    """Add the rows and measurements that are there alone, unless they may be of other weights."""
    rows = [
        (theirs, ours)
        for theirs, ours in _rows(there, here)
        if theirs.status().state == "done" and ours.status().state != "done"
    ]
    known = _measured(here)
    further = {key: entry for key, entry in _measured(there).items() if key not in known}
    if (rows or further) and (why := _why_not_one_training(there, here)):
        names = [f"samples of {settings_text(_sampling(theirs))}" for theirs, _ in rows]
        names += dict.fromkeys(str(entry["metric"]) for entry in further.values())
        return MergedRun(left_out=f"{here.path}: left out {', '.join(names)}: {why}")
    for theirs, ours in rows:
        shutil.rmtree(ours.path, ignore_errors=True)
        with arriving(ours.path) as partial:
            shutil.copytree(theirs.path, partial, dirs_exist_ok=True)
    if not further or there.status().state != "done":
        return MergedRun()
    settings = settings_of(here.path)
    if "evaluated" in settings:  # a row of `bench evaluate`, which says what was asked for itself
        asked = all_metrics(settings["metrics"], settings_of(there.path)["metrics"])
        config = read_config(here.path) | {"config": {**settings, "metrics": asked}}
        write_json(here.path / "config.json", config)
    elif here.path.parent.name != EVALUATIONS:  # not the real row of those
        # What the sweep here has not asked for; by which code, the archive does not say.
        further = {key: {"added": IMPORTED, **entry} for key, entry in further.items()}
    write_jsonl(here.evaluation, [*known.values(), *further.values()])
    return MergedRun(measurements=len(further))


def _why_not_one_training(there: RunFolder, here: RunFolder) -> str:
    """Return why the weights there may be others than those here; "" if they are the same.

    Of rows of `bench evaluate` the hash of the images tells.
    """
    settings = settings_of(here.path)
    if "control" in settings:
        return ""  # it has no weights, and its data were compared
    if here.path.parent.name == EVALUATIONS and "sha256" in samples_of(settings):
        is_one = samples_of(settings) == samples_of(settings_of(there.path))
        return "" if is_one else "it is of other images there"
    for name in ("rows.jsonl", "evaluation.jsonl"):
        present, packed = (by_key(read_entries(run.path / name)) for run in (here, there))
        if shared := present.keys() & packed.keys():
            differ = any(present[key].get("value") != packed[key].get("value") for key in shared)
            return "its losses differ there, so they are of other weights" if differ else ""
    return "no loss or measurement that both have shows that the two are one"


def _rows(there: RunFolder, here: RunFolder) -> list[tuple[RunFolder, RunFolder]]:
    """Return the folders of the sampling rows that are there, with those here."""
    return [(row, here.sampling_row(row.path.name)) for row in there.sampling_rows()]


def _sampling(row: RunFolder) -> Mapping[str, Any]:
    return read_config(row.path).get("sampling") or {}


def _measured(run: RunFolder) -> dict[tuple[object, ...], Mapping[str, Any]]:
    return by_key(read_entries(run.evaluation))
