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
from typing import Any

from bench.record.records import Records, plain, seeds
from bench.record.sweep_folder import control_title
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
    metrics: dict[tuple[str, str], list[tuple[str, float, int]]] = {}
    protocols: dict[tuple[str, str], dict[str, str]] = {}
    for row in plain(records.curves):
        name = f"{row['split']}/{row['metric']}".strip("/")
        metrics.setdefault((row["variant"], row["run"]), []).append(
            (clean(name), row["value"], int(row["step"]))
        )
    for row in plain(records.figures):
        key = keys[row["metric"], row["protocol"], row["split"]]
        run = row["variant"], row["run"]
        metrics.setdefault(run, []).append((key, row["value"], int(row["step"])))
        protocols.setdefault(run, {})[f"protocol.{key}"] = row["protocol"]
    for kind, frame in (("cost", records.cost), ("timing", records.timings)):
        for row in plain(frame):
            name = clean(f"{kind}/{row['metric']}")
            metrics.setdefault((row["variant"], row["run"]), []).append((name, row["value"], 0))
    return [
        _entry(records, run, metrics.get((run["variant"], run["run"]), []), protocols)
        for run in plain(records.runs)
        if run["state"] != "missing"
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
    figures = records.final
    several = figures["data"].nunique() > 1
    values: dict[str, list[float]] = {}
    for row in plain(figures[figures["value"].notna()]):
        key = keys[row["metric"], row["protocol"], row["split"]]
        parts = (row["variant"], row["data"], key) if several else (row["variant"], key)
        values.setdefault("/".join(clean(part) for part in parts), []).append(row["value"])
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
    figures = records.figures
    ordered = [
        (row["metric"], row["protocol"], row["split"])
        for real in (False, True)
        for row in plain(figures[figures["variant"].isin(records.untrained) == real])
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
    run: Mapping[str, Any],
    metrics: list[tuple[str, float, int]],
    protocols: Mapping[tuple[str, str], Mapping[str, str]],
) -> Entry:
    """Return the entry of one run."""
    folder = Path(run["path"])
    origin = records.provenance(run)
    seed = "".join(map(str, seeds(run)))
    axes = ("sweep", "run", "variant", "model", "data", "state")
    tags = {axis: str(run[axis]) for axis in axes} | {"seed": seed}
    tags |= {"commit": str(origin.get("commit", ""))}
    tags |= {"failure": run["failure"]} if run["failure"] else {}
    tags |= protocols.get((run["variant"], run["run"]), {})
    try:
        started = int(datetime.fromisoformat(origin["started"]).timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        started = 0
    return Entry(
        name=f"{run['variant']}, seed {seed}" if seed else control_title(run["variant"]),
        variant=run["variant"],
        run=run["run"],
        state=run["state"],
        tags={key: value[:LONGEST_VALUE] for key, value in tags.items()},
        params=_flatten(records.config(run)),
        metrics=tuple((key, value, step) for key, value, step in metrics if value == value),
        files=tuple(folder / name for name in FILES if (folder / name).is_file()),
        started=started,
    )


def _flatten(value: object, prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted keys and text."""
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, part in value.items():
            found |= _flatten(part, f"{prefix}.{key}".lstrip("."))
        return found
    text = value if isinstance(value, str) else json.dumps(value)
    return {clean(prefix): text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"}
