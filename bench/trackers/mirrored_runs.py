"""A sweep and its runs as trackers show them, made from the record."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from bench.record.files import flatten
from bench.record.records import RecordEntry, Records
from bench.record.sweep_folder import RecordedRun
from bench.spec.reserved_names import REAL
from bench.trackers.base import MirroredRun, MirroredSweep

LONGEST_VALUE = 500
LONGEST_KEY = 230  # MLflow takes 250, with our prefixes and hashes

FILES = ("config.json", "provenance.json", "samples.png")
SWEEP_FILES = ("*.json", "*.csv", "*.png", "report.html", "tables/*", "figures/*")
"""Artifacts of a run, and of a sweep, with what `bench report` and `bench figure` wrote."""

MetricKeys = Mapping[tuple[str, str, str], str]
"""Metric, protocol and split of a measurement -> its key in trackers."""


def mirrored_sweep(records: Records) -> MirroredSweep:
    """Return the one sweep of a record as trackers are given it."""
    [sweep] = records.sweeps
    folder = records.results / sweep.name
    return MirroredSweep(sweep.name, folder, parent_run(records), child_runs(records))


def parent_run(records: Records) -> MirroredRun:
    """Return the run that represents a sweep: means over seeds, and the files of the sweep."""
    [sweep] = records.sweeps
    states = [run.state for run in records.runs]
    is_done = set(states) == {"done"}
    folder = records.results / sweep.name
    return MirroredRun(
        id="sweep",
        name=f"{sweep.name}: means over seeds",
        state="failed" if "failed" in states else "done" if is_done else "running",
        tags={
            "sweep": sweep.name,
            "run": "sweep",
            "spec": sweep.spec,
            "finished": f"{states.count('done')} of {len(states)}",
        },
        config={},
        metrics=[(key, value, 0) for key, value in means_over_seeds(records).items()],
        folder=folder,
        files=[
            path
            for pattern in SWEEP_FILES
            for path in sorted(folder.glob(pattern))
            if path.is_file()
        ],
        note=f"{sweep.title}\n\n    {sweep.command}",
    )


def child_runs(records: Records) -> list[MirroredRun]:
    """Return all runs of a sweep that have begun, in its order."""
    keys = _metric_keys(records)
    metrics: dict[RecordedRun, list[tuple[str, float, int]]] = {}
    protocols: dict[RecordedRun, dict[str, str]] = {}
    for key, entry in _entries(records, keys):
        if entry.value is not None:
            metrics.setdefault(entry.run, []).append((key, entry.value, entry.step))
    for entry in records.measurements:
        if not entry.protocol:
            continue
        key = safe_key(f"protocol.{keys[_identity(entry)]}")
        protocols.setdefault(entry.run, {})[key] = entry.protocol
    children = []
    for run in records.runs:
        if run.state == "missing":
            continue
        origin = records.provenance(run)
        seed = "" if run.seed is None else str(run.seed)
        tags = {"sweep": run.sweep, "run": run.id, "variant": run.variant, "model": run.model}
        tags |= {"data": run.data, "state": run.state, "seed": seed}
        tags |= {"commit": str(origin.get("commit", ""))}
        tags |= {"failure": run.reason} if run.reason else {}
        tags |= protocols.get(run, {})
        child = MirroredRun(
            id=run.id,
            name=(f"{run.variant[:LONGEST_KEY]}, seed {seed}" if seed else run.title)[:LONGEST_KEY],
            state=run.state,
            tags={key: value[:LONGEST_VALUE] for key, value in tags.items()},
            config=flatten(records.config(run)),
            metrics=metrics.get(run, []),
            folder=run.path,
            files=[run.path / name for name in FILES if (run.path / name).is_file()],
            started=_milliseconds(origin.get("started")),
        )
        children.append(child)
    return children


def means_over_seeds(records: Records) -> dict[str, float]:
    """Return mean, half width of the 95 % interval and number of seeds, by variant and metric.

    Keys are like `cvae/inception_score/mean`. There is no half width of a single seed.
    """
    from bench.reporting.statistics import estimate  # its scipy would slow every start

    keys = _metric_keys(records)
    several = len({entry.run.data for entry in records.final}) > 1
    values: dict[str, list[float]] = {}
    for entry in records.final:
        if entry.value is not None:
            data = [entry.run.data] if several else []
            parts = (entry.run.variant, *data, keys[_identity(entry)])
            values.setdefault("/".join(map(safe_key, parts)), []).append(entry.value)
    means: dict[str, float] = {}
    for key, of_seeds in values.items():
        seeds = estimate(of_seeds)
        means |= {f"{key}/mean": seeds.mean, f"{key}/n": float(seeds.n)}
        if (half_width := seeds.half_width()) is not None:
            means[f"{key}/half_width"] = half_width
    return {safe_key(key): value for key, value in means.items()}


def safe_key(key: str) -> str:
    """Return a key that every tracker accepts; one that had to be changed ends with a hash.

    >>> safe_key("main/reconstruct")
    'main/reconstruct'
    >>> safe_key("kl=0, gan=0") == safe_key("kl=0; gan=0")
    False
    """
    safe = re.sub(r"[^\w.\- /]|//+|^[/.]+|[/.]+$|\.\.+", "_", key)[:LONGEST_KEY] or "_"
    return safe if safe == key else f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def _metric_keys(records: Records) -> MetricKeys:
    """Return the keys of all measurements; protocols of a metric after the first are numbered.

    The controls come last, so that the protocol of the runs is the first, and after them what has
    no value.
    """
    keys: dict[tuple[str, str, str], str] = {}
    protocols: dict[str, list[str]] = {}
    order = sorted(records.measurements, key=lambda e: (e.value is None, e.run.is_control))
    for entry in order:
        known = protocols.setdefault(entry.metric, [])
        if entry.protocol not in known:
            known.append(entry.protocol)
        number = known.index(entry.protocol) + 1
        prefix = "" if entry.split in ("", "samples", REAL) else f"{entry.split}/"
        suffix = f".protocol{number}" if number > 1 else ""
        keys[_identity(entry)] = safe_key(f"{prefix}{entry.metric}{suffix}")
    return keys


def _identity(entry: RecordEntry) -> tuple[str, str, str]:
    return entry.metric, entry.protocol, entry.split


def _entries(records: Records, keys: MetricKeys) -> Iterator[tuple[str, RecordEntry]]:
    """Yield the key and the entry of every number of the record."""
    for entry in records.curves:
        yield safe_key(f"{entry.split}/{entry.metric}".strip("/")), entry
    for entry in records.measurements:
        yield keys[_identity(entry)], entry
    for kind, entries in (("cost", records.cost), ("timing", records.timings)):
        for entry in entries:
            yield safe_key(f"{kind}/{entry.metric}"), entry


def _milliseconds(started: object) -> int:
    """Return milliseconds since 1970; 0 for what is not a time."""
    try:
        return int(datetime.fromisoformat(str(started)).timestamp() * 1000)
    except ValueError:
        return 0
