"""Merge an archive of `bench export`: all of it, or nothing if anything is in conflict."""

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bench.data.base import data_root
from bench.errors import BenchError, SpecError
from bench.exchange.archive import CHECKPOINTS, WEIGHTS, classifier_hash
from bench.exchange.same_data import refuse_other_fingerprints
from bench.exchange.unpack import unpack
from bench.record.evaluation_rows import (
    IMPORTED,
    SampleSetEntry,
    all_metrics,
    problem_of_merging,
    samples_of,
)
from bench.record.files import settings_text, write_atomically, write_json
from bench.record.jsonl import by_key, read_entries, write_jsonl
from bench.record.locks import Busy
from bench.record.run_folder import SAMPLING_ROWS, RunFolder, arriving, read_config
from bench.record.sweep_folder import read_sweep_file, settings_of
from bench.spec.reserved_names import EVALUATIONS, problem_of_sweep_name


@dataclass(frozen=True)
class ImportResult:
    """The result of an import: runs that are new, runs that stayed, and notices for the user.

    `measurements` is the number of those that were added to runs that stayed.
    """

    folder: Path
    added: Sequence[str]
    kept: Sequence[str]
    notices: Sequence[str]
    measurements: int


def merge_archive(
    path: Path, results: Path, into: str | None = None, *, accept_programs: bool = False
) -> ImportResult:
    """Merge an archive into the sweep `into`, by default the one that it was exported from.

    Runs that were measured by networks in files, which are programs, are refused unless accepted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = Path(scratch)
        manifest = unpack(path, unpacked)
        name = into or manifest.sweep
        if name != manifest.sweep and (problem := problem_of_sweep_name(name)):
            raise SpecError(problem, where=f"--into {name}")
        folder = results / name
        programs = _programs(unpacked, manifest.runs)
        if programs and not accept_programs:
            raise BenchError(
                f"{path} has runs that were measured by networks in files: {', '.join(programs)}; "
                "measuring them again here would run the files of these names as programs, with "
                "your rights; nothing was imported; if you trust them: --accept-programs"
            )
        left_out: dict[str, str] = {}
        gained: list[int] = []
        _refuse_conflicts(path, unpacked, folder, manifest.runs)  # which then leaves no lock
        with RunFolder(folder).locked(wait=True):  # other imports and `bench evaluate` hold it, too
            _refuse_conflicts(path, unpacked, folder, manifest.runs)
            added = [
                run
                for run in manifest.runs
                if _add(unpacked / "runs" / run, folder / run, left_out, gained)
            ]
            # Read only now: `bench run` may have written its own since.
            write_json(folder / "sweep.json", _merged_plan(unpacked, folder, left_out))
        notices = list(left_out.values())
        notices += [f"measuring these runs again runs the program {name}" for name in programs]
        notices += [text for file in manifest.judges if (text := _add_classifier(unpacked / file))]
    kept = [run for run in manifest.runs if run not in added]
    notices += [
        f"{folder / run} is not done here, and was left as it is: it is under way in another "
        "process, or is not done there either"
        for run in kept
        if RunFolder(folder / run).status().state != "done"
    ]
    return ImportResult(folder, added, kept, notices, sum(gained))


def _refuse_conflicts(path: Path, unpacked: Path, folder: Path, runs: list[str]) -> None:
    """Refuse other data of the same name, measurements of a run, or configurations of a variant."""
    for run in runs:
        if broken := RunFolder(folder / run).broken_link():
            raise BenchError(f"{broken}; nothing was imported")
    if (folder / "sweep.json").exists():
        refuse_other_fingerprints(path, unpacked, folder)
    problems = [
        f"  {folder / run}: {text}"
        for run in runs
        for pair in _pairs(folder / run, unpacked / "runs" / run)
        if pair[0].status().is_measured and (text := _conflict(*pair))
    ]
    if problems:
        raise BenchError(
            f"{path} has other measurements of runs that are here; nothing was imported:\n"
            + "\n".join(problems)
            + "\nanother machine gives other last digits; to keep both: --into ANOTHER_NAME"
        )
    if not (folder / "sweep.json").exists():
        return
    if folder.name == EVALUATIONS:
        rows = (_sample_sets(folder, folder), _sample_sets(unpacked, unpacked / "runs"))
        if problem := problem_of_merging(*rows):
            raise BenchError(
                f"{path} has samples that do not belong in rows that are in {folder}: {problem}; "
                "nothing was imported; to keep both: --results ANOTHER"
            )
        return
    present = _configurations(folder, folder)
    packed = _configurations(unpacked, unpacked / "runs")
    if mixed := [n for n in present.keys() & packed.keys() if present[n] != packed[n]]:
        raise BenchError(
            f"{path} has other configurations of rows that are in {folder}, whose means would be "
            f"over both: {', '.join(sorted(mixed))}; nothing was imported; to keep both: --into "
            "ANOTHER_NAME, and bench compare says what differs"
        )


def _pairs(present: Path, packed: Path) -> Iterator[tuple[RunFolder, RunFolder]]:
    """Yield the folder of a run here and in the archive, and those of its rows there."""
    here, there = RunFolder(present), RunFolder(packed)
    yield here, there
    for row in there.sampling_rows():
        yield here.sampling_row(row.path.name), row


def _conflict(present: RunFolder, packed: RunFolder) -> str:
    """Return the first measurement whose values differ for the same protocol; or ""."""
    entries, others = (by_key(read_entries(f.evaluation)) for f in (present, packed))
    for key, entry in entries.items():
        value, other = entry.get("value"), others.get(key, entry).get("value")
        if value != other:
            return f"{entry['metric']} is {value} here, {other} there"
    return ""


def _configurations(plan: Path, runs: Path) -> dict[str, Mapping[str, Any]]:
    """Return the configuration of each variant that was trained, but for the seed and paths."""
    configurations: dict[str, Mapping[str, Any]] = {}
    for entry in read_sweep_file(plan)["runs"]:
        config = settings_of(runs / entry["id"])
        config = {**config, "sampling": entry["sampling"]} if entry.get("row") else config
        if "seed" in config:
            data = {key: (config.get(key) or {}) | {"path": None} for key in ("data", "unlabeled")}
            if start := config.get("start_from"):
                of_seed = {"origin": None} if start.get("variant") is not None else {}
                data["start_from"] = {**start, "run": None, **of_seed}
            configurations[entry["variant"]] = {**config, **data, "seed": None}
    return configurations


def _sample_sets(plan: Path, runs: Path) -> list[tuple[str, SampleSetEntry]]:
    """Return the names and sample sets of the rows of `bench evaluate`."""
    return [
        (run["variant"], SampleSetEntry(run["model"], run["seed"], settings_of(runs / run["id"])))
        for run in read_sweep_file(plan)["runs"]
    ]


def _add(arrived: Path, target: Path, left_out: dict[str, str], gained: list[int]) -> bool:
    """Copy a run, unless it has ended or is under way here; return whether it was copied.

    Of one that has ended, what is new is added, and the number of measurements to `gained`; or it
    is said in `left_out` where it is of other weights.
    """
    if not target.exists():
        with suppress(FileExistsError):  # `bench run` has begun it meanwhile
            with arriving(target) as partial:
                shutil.copytree(arrived, partial, dirs_exist_ok=True)
            return True
    here, there = RunFolder(target), RunFolder(arrived)
    is_whole = there.status().state == "done"
    with suppress(Busy), here.locked():
        if here.status().is_measured:
            if (new := _new_parts(there, here)) and (why := _why_not_one_training(there, here)):
                left_out[target.name] = f"{target}: left out {', '.join(new)}: {why}"
                return False
            _add_rows(there, here)
            if is_whole:
                gained.append(_add_measurements(there, here))
            return False
        if not is_whole:
            return False
        here.reopen()
        for name in CHECKPOINTS + WEIGHTS:
            (target / name).unlink(missing_ok=True)  # killed here, it begins again
        for below in ("snapshots", SAMPLING_ROWS):
            shutil.rmtree(target / below, ignore_errors=True)

        def left_for_last(folder: str, names: list[str]) -> list[str]:
            return ["done"] if Path(folder) == arrived else []

        shutil.copytree(arrived, target, ignore=left_for_last, dirs_exist_ok=True)
        shutil.copy(arrived / "done", target / "done")
        return True
    return False


def _new_parts(arrived: RunFolder, target: RunFolder) -> list[str]:
    """Return the sampling rows and metrics that there are there alone."""
    rows = [
        read_config(there.path).get("sampling") or {} for _, there in _new_rows(arrived, target)
    ]
    known, others = (by_key(read_entries(f.evaluation)) for f in (target, arrived))
    metrics = {str(entry["metric"]): None for key, entry in others.items() if key not in known}
    return [*(f"samples of {settings_text(row)}" for row in rows), *metrics]


def _why_not_one_training(arrived: RunFolder, target: RunFolder) -> str:
    """Return why the weights there may be others than those here; "" if they are the same.

    Of rows of `bench evaluate` the hash of the images tells.
    """
    if "control" in settings_of(target.path):
        return ""  # it has no weights, and its data were compared
    if target.path.parent.name == EVALUATIONS and "sha256" in samples_of(settings_of(target.path)):
        theirs, ours = (samples_of(settings_of(folder.path)) for folder in (arrived, target))
        return "" if ours == theirs else "it is of other images there"
    for name in ("rows.jsonl", "evaluation.jsonl"):
        known, others = (by_key(read_entries(f.path / name)) for f in (target, arrived))
        if shared := known.keys() & others.keys():
            differ = any(known[key].get("value") != others[key].get("value") for key in shared)
            return "its losses differ there, so they are of other weights" if differ else ""
    return "no loss or measurement that both have shows that the two are one"


def _add_measurements(arrived: RunFolder, target: RunFolder) -> int:
    """Add what was measured there alone; return how many it is."""
    known, others = (by_key(read_entries(f.evaluation)) for f in (target, arrived))
    further = [entry for key, entry in others.items() if key not in known]
    if not further:
        return 0
    theirs, ours = settings_of(arrived.path), settings_of(target.path)
    if "evaluated" in ours:  # a row of `bench evaluate`, which says what was asked for itself
        metrics = all_metrics(ours["metrics"], theirs["metrics"])
        config = read_config(target.path) | {"config": {**ours, "metrics": metrics}}
        write_json(target.path / "config.json", config)
    elif target.path.parent.name != EVALUATIONS:  # not the real row of those
        # What the sweep here has not asked for; by which code, the archive does not say.
        further = [{"added": IMPORTED, **entry} for entry in further]
    write_jsonl(target.evaluation, [*known.values(), *further])
    return len(further)


def _add_rows(arrived: RunFolder, target: RunFolder) -> None:
    """Copy the sampling rows that are done there and not here."""
    for here, there in _new_rows(arrived, target):
        shutil.rmtree(here.path, ignore_errors=True)
        with arriving(here.path) as partial:
            shutil.copytree(there.path, partial, dirs_exist_ok=True)


def _new_rows(arrived: RunFolder, target: RunFolder) -> list[tuple[RunFolder, RunFolder]]:
    """Return the folders here and there of the sampling rows that are done there alone."""
    return [
        (here, there)
        for here, there in list(_pairs(target.path, arrived.path))[1:]
        if there.status().state == "done" and here.status().state != "done"
    ]


def _programs(unpacked: Path, runs: Sequence[str]) -> list[str]:
    """Return the files of networks that runs were measured by."""

    def named(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            extractor = value.get("extractor")
            if isinstance(extractor, dict):
                yield str(extractor.get("path"))
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, dict | list):
                yield from named(part)

    configs = [unpacked / "runs" / run for run in runs]
    found = (named(read_config(c)) for c in configs if (c / "config.json").exists())
    return list(dict.fromkeys(chain.from_iterable(found)))


def _merged_plan(unpacked: Path, folder: Path, left_out: Collection[str]) -> dict[str, Any]:
    """Return the plan of the sweep here, with runs, controls and the rows taken of the archive."""
    packed = read_sweep_file(unpacked)
    packed["runs"] = [e for e in packed["runs"] if not (e.get("row") and e["id"] in left_out)]
    merged = read_sweep_file(folder) if (folder / "sweep.json").exists() else packed
    for part, axes in (("runs", ("id", "variant")), ("controls", ("id",))):
        entries: dict[tuple[str, ...], Any] = {}
        for entry in [*merged.get(part, []), *packed.get(part, [])]:
            entries.setdefault(tuple(entry[axis] for axis in axes), entry)
        merged[part] = list(entries.values())
    if quantities := packed.get("quantities", {}) | merged.get("quantities", {}):
        merged["quantities"] = quantities
    return merged | {"sweep": folder.name}


def _add_classifier(arrived: Path) -> str:
    """Keep a classifier, so that new runs are measured by it; return what to tell the user."""
    target = data_root() / "extractors" / arrived.name
    digits = classifier_hash(arrived)
    if digits is None:
        return f"{arrived.name}, a classifier that measured these runs, is damaged and was left out"
    if not target.exists():
        write_atomically(target, arrived.read_bytes())
        return f"new runs on the same data are measured by the classifier that came along: {target}"
    if classifier_hash(target) != digits:
        return (
            f"{target} is another network than the one that measured these runs ({digits[:8]}), so "
            "their measurements are in separate columns; delete it and import again to "
            "measure new runs by theirs"
        )
    return ""
