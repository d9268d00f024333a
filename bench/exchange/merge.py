"""Merge an archive of `bench export`: all of it, or nothing if anything is in conflict."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bench.data.base import data_root
from bench.errors import BenchError, SpecError
from bench.exchange.archive import classifier_hash
from bench.exchange.merge_run import conflicts, merge_run
from bench.exchange.same_data import refuse_other_fingerprints
from bench.exchange.unpack import unpack
from bench.record.evaluation_rows import SampleSetEntry, problem_of_merging
from bench.record.files import write_atomically, write_json
from bench.record.run_folder import RunFolder, read_config
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
        pairs = {
            run: (RunFolder(unpacked / "runs" / run), RunFolder(folder / run))
            for run in manifest.runs
        }
        _refuse_conflicts(path, unpacked, folder, pairs.values())  # which then writes no lock
        with RunFolder(folder).locked(wait=True):  # other imports and `bench evaluate` hold it, too
            _refuse_conflicts(path, unpacked, folder, pairs.values())
            merged = {run: merge_run(*pair) for run, pair in pairs.items()}
            left_out = {run: result.left_out for run, result in merged.items() if result.left_out}
            # Read only now: `bench run` may have written its own since.
            write_json(folder / "sweep.json", _merged_plan(unpacked, folder, left_out))
        notices = list(left_out.values())
        notices += [f"measuring these runs again runs the program {name}" for name in programs]
        notices += [text for file in manifest.judges if (text := _add_classifier(unpacked / file))]
    added = [run for run, result in merged.items() if result.is_copied]
    kept = [run for run in merged if run not in added]
    notices += [
        f"{folder / run} is not done here, and was left as it is: it is under way in another "
        "process, or is not done there either"
        for run in kept
        if pairs[run][1].status().state != "done"
    ]
    measurements = sum(result.measurements for result in merged.values())
    return ImportResult(folder, added, kept, notices, measurements)


def _refuse_conflicts(
    path: Path, unpacked: Path, folder: Path, pairs: Collection[tuple[RunFolder, RunFolder]]
) -> None:
    """Refuse other data of the same name, measurements of a run, or configurations of a variant."""
    for _, here in pairs:
        if broken := here.broken_link():
            raise BenchError(f"{broken}; nothing was imported")
    if (folder / "sweep.json").exists():
        refuse_other_fingerprints(path, unpacked, folder)
    if problems := [f"  {text}" for pair in pairs for text in conflicts(*pair)]:
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
