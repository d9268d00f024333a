"""Rows for reports from what `bench evaluate` measured: a sweep of their own, `evaluations`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.console import say
from bench.errors import BenchError, SpecError, short_hash, shortened
from bench.evaluation.controls import control_config, control_id
from bench.evaluation.given_samples import EvaluationResult, GivenSamples
from bench.evaluation.sampling import save_samples
from bench.metrics.base import SampleSet
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.evaluation_rows import (
    SAVED,
    SampleSetEntry,
    all_metrics,
    problem_of_pair,
    samples_of,
)
from bench.record.files import write_json
from bench.record.jsonl import by_key, read_entries, write_jsonl
from bench.record.run_folder import RunFolder
from bench.record.sweep_folder import read_sweep_file, settings_of
from bench.spec.reserved_names import ELSEWHERE, EVALUATIONS, REAL
from bench.spec.run_config import digest
from bench.spec.sweep_file import problem_of_row_name
from bench.trackers.mirrors import write_mirrors

Entry = Mapping[str, Any]

Codes = Mapping[str, str]
"""Name of a metric -> that name with a digest of its code."""


def add_to_run(result: EvaluationResult, codes: Codes) -> Path:
    """Add measurements to the record of a run, in place of those of the same protocol.

    Those that its sweep did not ask for are recorded with the code of their metric.
    """
    folder = RunFolder(result.given.path)
    if folder.is_locked():
        say(f"waiting for {folder.path}: another process works on it")
    with folder.locked(wait=True):
        known = by_key(read_entries(folder.evaluation))
        asked = {key for key, entry in known.items() if not entry.get("added")}
        new = {
            key: entry if key in asked else {**entry, "added": _code_of(entry, result, codes)}
            for key, entry in by_key(result.entries).items()
        }
        write_jsonl(folder.evaluation, (known | new).values())
    return folder.evaluation


def _code_of(entry: Entry, result: EvaluationResult, codes: Codes) -> str:
    """Return the code of the metric that made an entry."""
    name = entry["metric"]
    metrics = {part: m.name for m in result.given.request.metrics for part in m.quantities}
    return codes[metrics.get(name) or metrics[name.partition("/")[0]]]


def check_row_name(given: GivenSamples, name: str, results: Path) -> None:
    """Refuse a name that a row cannot have, before anything is measured."""
    if problem := problem_of_row_name(name):
        raise SpecError(f"{shortened(name)!r} {problem}", where="--name")
    root = results / EVALUATIONS
    plan = _read_plan(root)
    now = given.context.data.fingerprint
    replaced = saved_row_id(name, given.data, given.seed)
    _refuse_beside(plan, root, given, name)
    for entry in [*plan["runs"], *plan["controls"]]:
        path = root / entry["id"]
        before = provenance.read_provenance(path).get("data_fingerprint") or now
        is_same_name = entry["id"] != replaced and settings_of(path).get("data") == given.data
        if is_same_name and before != now:
            row = entry.get("variant", "the real images")
            raise BenchError(
                f"{path} ({row}) was measured on other data (fingerprint {short_hash(before)}, "
                f"now {short_hash(now)}), and both would be one data set in a table; delete that "
                "folder, or keep the new data at another path"
            )


def _refuse_beside(plan: Mapping[str, Any], root: Path, given: GivenSamples, name: str) -> None:
    """Refuse samples that cannot be one more seed of the row of that name."""
    new = SampleSetEntry(given.model, given.seed, _settings(given))
    replaced = saved_row_id(name, given.data, given.seed)
    for entry in plan["runs"]:
        if entry["variant"] == name and entry["id"] != replaced:
            settings = settings_of(root / entry["id"])
            known = SampleSetEntry(entry["model"], entry["seed"], settings)
            if problem := problem_of_pair(known, new):
                remedy = "take another name"
                if given.model == known.model == ELSEWHERE and None in (known.seed, new.seed):
                    remedy = "give a --seed to all, or take another name"
                raise SpecError(f"{problem}; {remedy}", where=f"--name {name}")


def _settings(given: GivenSamples) -> dict[str, Any]:
    """Return the settings of given samples, for their `config.json`."""
    return {
        **({} if given.training is None else given.training.model_dump(mode="json")),
        "data": given.data,
        "evaluated": given.origin,
        "metrics": list(given.request.components),
        "samples_per_class": given.samples.each_class,
    }


def saved_row_id(name: str, data: Mapping[str, Any] | None, seed: int | None) -> str:
    """Return the folder name of a row."""
    return f"{SAVED}{digest({'name': name, 'data': data, 'seed': seed})}"


def save_row(
    result: EvaluationResult, name: str, results: Path, worker: Worker, codes: Codes
) -> str:
    """Keep measurements as a row for reports, with a row of the real images; say what was done.

    A row of the same name, data set and seed is replaced, or gets further metrics if it is one of
    the same samples; a name of another model is refused. Each is kept with the code of its metric.
    """
    given, root = result.given, results / EVALUATIONS
    count = result.given.samples.each_class
    row = {
        "id": saved_row_id(name, given.data, given.seed),
        "variant": name,
        "model": given.model,
        "data": given.data["name"],
        "seed": given.seed,
        "command": worker.command,
    }
    real = {"id": control_id(REAL, given.data, count), "control": REAL, "data": row["data"]}
    config = _settings(given)
    entries, of_real = (
        list[Entry]({**entry, "code": _code_of(entry, result, codes)} for entry in some)
        for some in (result.entries, result.real_entries)
    )
    with RunFolder(root).locked(wait=True):  # others measure, too, and hold it for moments
        plan = _read_plan(root)
        _refuse_beside(plan, root, given, name)
        is_new = row["id"] not in [run["id"] for run in plan["runs"]]
        path = root / str(row["id"])
        before = {} if is_new else settings_of(path)
        is_same = samples_of(before) == samples_of(config)
        if is_same:
            entries = _merged(path / "evaluation.jsonl", entries)
            config |= {"metrics": all_metrics(before["metrics"], config["metrics"])}
        else:  # killed from here on, nothing takes what was measured of others for theirs
            (path / "evaluation.jsonl").unlink(missing_ok=True)
        _write_run(path, config, entries, given.samples, given, worker)
        path, config = root / str(real["id"]), control_config(REAL, given.data, count)
        entries = _merged(path / "evaluation.jsonl", of_real)
        _write_run(path, config, entries, result.real, given, worker)
        for part, entry in (("runs", row), ("controls", real)):
            known = {other["id"]: other for other in plan[part]}
            plan[part] = list((known | {entry["id"]: entry}).values())
        write_json(root / "sweep.json", plan | {"command": worker.command})
        write_mirrors(root)
    seed = "" if given.seed is None else f", seed {given.seed}"
    done = "kept" if is_new else "added to" if is_same else "replaced"
    return f"{done} the row {name!r}{seed} in {root}"


def _read_plan(root: Path) -> dict[str, Any]:
    """Return the plan of the rows that are kept."""
    if not (root / "sweep.json").exists():
        title = "What bench evaluate measured"
        return {"sweep": EVALUATIONS, "title": title, "spec": "", "runs": [], "controls": []}
    return read_sweep_file(root)


def _write_run(
    path: Path,
    config: Mapping[str, Any],
    entries: Sequence[Entry],
    samples: SampleSet,
    given: GivenSamples,
    worker: Worker,
) -> None:
    """Write a row as the folder of a run; it counts once `done` is there."""
    folder, data = RunFolder(path), given.context.data
    folder.reopen()
    write_json(path / "config.json", {"id": path.name, "config": config})
    threads = worker.threads_for(data.spec)
    origin = provenance.collect(worker.device, worker.command, data.fingerprint, threads)
    write_json(path / provenance.NAME, origin)
    write_jsonl(folder.evaluation, entries)
    save_samples(samples, path, data)
    folder.finish(digest({"metrics": config.get("metrics", [])}))


def _merged(path: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a file, with new ones in the place of those of the same protocol."""
    return list((by_key(read_entries(path)) | by_key(entries)).values())
