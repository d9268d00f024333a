"""What a tracking server is told about a sweep, worked out from the record without a server.

Each run becomes an entry with a digest of all that is sent, so that a mirror can be brought up to
date by comparing digests: equal ones are left alone.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.record.files import flatten
from bench.record.records import RecordEntry, Records
from bench.record.sweep_folder import RecordedRun
from bench.reporting.statistics import t_interval
from bench.spec.reserved_names import REAL

LONGEST_VALUE = 500
LONGEST_KEY = 240
FILES = ("config.json", "provenance.json", "samples.png")


@dataclass(frozen=True)
class Entry:
    """One run as it is mirrored.

    Attributes:
        name: What people see.
        variant: With `run`, what identifies it within the sweep.
        run: Its id.
        state: How far it is.
        tags: The axes, without the prefix of this project.
        params: The flattened configuration, long values cut; the file has all of them.
        metrics: Key, value, step: curves, figures, cost, timings.
        files: Artifacts.
        started: When it began, in milliseconds since 1970; 0 if that is not known.
    """

    name: str
    variant: str
    run: str
    state: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[tuple[str, float, int], ...]
    files: tuple[Path, ...]
    started: int

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits: the hash of all that is sent."""
        sent = [self.name, self.state, self.tags, self.params, self.metrics, self.started]
        return digest_of(sent, self.files)


def digest_of(content: object, files: tuple[Path, ...] = ()) -> str:
    """Return twelve hexadecimal digits of a hash over plain data and files.

    Args:
        content: Anything that JSON can say.
        files: Files, whose names and bytes count.

    Returns:
        The digits.
    """
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=dict).encode())
    for path in files:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def entries(records: Records) -> list[Entry]:
    """Return all runs of a sweep that have begun.

    Args:
        records: The record of one sweep.

    Returns:
        Entries in the order of the sweep.
    """
    keys = _metric_keys(records)
    metrics: dict[RecordedRun, list[tuple[str, float, int]]] = {}
    protocols: dict[RecordedRun, dict[str, str]] = {}

    def add(name: str, entry: RecordEntry) -> None:
        if entry.value is not None:
            metrics.setdefault(entry.run, []).append((name, entry.value, entry.step))

    for entry in records.curves:
        add(clean(f"{entry.split}/{entry.metric}".strip("/")), entry)
    for entry in records.measurements:
        key = keys[entry.metric, entry.protocol, entry.split]
        add(key, entry)
        protocols.setdefault(entry.run, {})[f"protocol.{key}"] = entry.protocol
    for kind, held in (("cost", records.cost), ("timing", records.timings)):
        for entry in held:
            add(clean(f"{kind}/{entry.metric}"), entry)
    return [
        _entry(records, run, metrics.get(run, []), protocols.get(run, {}))
        for run in records.runs
        if run.state != "missing"
    ]


def aggregates(records: Records) -> dict[str, float]:
    """Return mean, half width of the 95 % interval and number of seeds, by variant and metric.

    Args:
        records: The record of one sweep.

    Returns:
        Values by key, for example `cvae/inception_score/mean`. A half width is left out where
        there is one seed, and a number where it is not finite.
    """
    keys = _metric_keys(records)
    several = len({entry.run.data for entry in records.final}) > 1
    values: dict[str, list[float]] = {}
    for entry in records.final:
        if entry.value is not None:
            key = keys[entry.metric, entry.protocol, entry.split]
            parts = (
                (entry.run.variant, entry.run.data, key) if several else (entry.run.variant, key)
            )
            values.setdefault("/".join(clean(part) for part in parts), []).append(entry.value)
    found = {}
    for key, held in values.items():
        interval = t_interval(held)
        found[f"{key}/mean"] = interval.mean
        found[f"{key}/n"] = float(interval.n)
        if interval.half_width is not None:
            found[f"{key}/half_width"] = interval.half_width
    return found


def clean(key: str) -> str:
    """Return a key that a server accepts; different keys stay different.

    Args:
        key: Any text.

    Returns:
        Letters, digits and ` _-./`; with a hash at the end if something had to be replaced.

    Example:
        >>> clean("main/reconstruct")
        'main/reconstruct'
        >>> clean("kl=0, gan=0") == clean("kl=0; gan=0")
        False
    """
    safe = re.sub(r"[^\w.\- /]|//+|^[/.]+|[/.]+$|\.\.+", "_", key)[:LONGEST_KEY] or "_"
    return safe if safe == key else f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def _metric_keys(records: Records) -> dict[tuple[str, str, str], str]:
    """Return the key of each (metric, protocol, split); only one protocol a metric has no mark."""
    ordered = [
        (entry.metric, entry.protocol, entry.split)
        for entry in sorted(records.measurements, key=lambda entry: entry.run.is_control)
    ]
    keys: dict[tuple[str, str, str], str] = {}
    seen: dict[str, list[str]] = {}
    for metric, protocol, split in ordered:
        known = seen.setdefault(metric, [])
        if protocol not in known:
            known.append(protocol)
        place = known.index(protocol)
        prefix = "" if split in ("", "samples", REAL) else f"{split}/"
        suffix = f".protocol{place + 1}" if place else ""
        keys[metric, protocol, split] = clean(f"{prefix}{metric}{suffix}")
    return keys


def _entry(
    records: Records,
    run: RecordedRun,
    metrics: list[tuple[str, float, int]],
    protocols: Mapping[str, str],
) -> Entry:
    """Return the entry of one run."""
    origin = records.provenance(run)
    seed = "" if run.seed is None else str(run.seed)
    tags = {"sweep": run.sweep, "run": run.id, "variant": run.variant, "model": run.model}
    tags |= {"data": run.data, "state": run.state, "seed": seed}
    tags |= {"commit": str(origin.get("commit", ""))}
    tags |= {"failure": run.reason} if run.reason else {}
    tags |= protocols
    try:
        started = int(datetime.fromisoformat(origin["started"]).timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        started = 0
    return Entry(
        name=f"{run.variant}, seed {seed}" if seed else run.title,
        variant=run.variant,
        run=run.id,
        state=run.state,
        tags={key: value[:LONGEST_VALUE] for key, value in tags.items()},
        params=_params(records.config(run)),
        metrics=tuple(metrics),
        files=tuple(run.path / name for name in FILES if (run.path / name).is_file()),
        started=started,
    )


def _params(config: Mapping[str, object]) -> dict[str, str]:
    """Return nested settings as keys that a server accepts and text, long values cut."""
    params = {}
    for key, value in flatten(config).items():
        text = value if isinstance(value, str) else json.dumps(value)
        is_long = len(text) > LONGEST_VALUE
        params[clean(key)] = text[: LONGEST_VALUE - 1] + "…" if is_long else text
    return params
