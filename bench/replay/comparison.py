"""A run on record compared with the same run done again, and possible causes of deviations."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import Any

import torch

from bench.errors import first_few
from bench.evaluation.trained_weights import load_weights
from bench.record import provenance
from bench.record.jsonl import by_key
from bench.record.provenance import (
    EXECUTION,
    Sources,
    changed_files,
    read_execution,
    read_provenance,
    sessions_of,
    version_text,
)
from bench.spec.switches import SwitchSet

FLOOR = 0.01  # the least that a deviation is relative to
MOST_NAMED = 6
ENVIRONMENT = ("device", "device_name", "platform", "python", "threads", "tf32", "cuda", "cudnn")

Entry = dict[str, Any]


@dataclass(frozen=True)
class Deviation:
    """The distance of values computed again from those on record."""

    what: str
    compared: int
    largest: float  # relative; 0 only where all are equal to the last bit
    where: str = ""  # the largest is, with both values
    unmatched: tuple[str, ...] = ()  # values that only one side has

    @property
    def is_identical(self) -> bool:
        """Whether every value is the same to the last bit."""
        return self.largest == 0 and not self.unmatched

    def is_within(self, tolerance: float) -> bool:
        """Return whether both sides have the same values, and none deviates by more than that."""
        return self.largest <= tolerance and not self.unmatched

    def text(self, tolerance: float) -> str:
        """Return one line for display."""
        if self.unmatched:
            names = first_few(self.unmatched, MOST_NAMED, "; ")
            return f"{self.what}: not the same values: {names}"
        if self.is_identical:
            return f"{self.what}: all {self.compared} bit-identical"
        return (
            f"{self.what}: {self.compared} compared, largest deviation {self.largest:.1e} "
            f"({self.where}), {'within' if self.is_within(tolerance) else 'beyond'} the tolerance "
            f"of {tolerance:g}"
        )


@dataclass(frozen=True)
class ReplayReport:
    """The result of doing the run in `folder` again.

    `changes` says what is not as it was then: code, versions, device, threads, switches.
    """

    folder: Path
    deviations: tuple[Deviation, ...]
    changes: tuple[str, ...]

    def agrees(self, tolerance: float) -> bool:
        """Return whether all deviations are within the tolerance."""
        return all(deviation.is_within(tolerance) for deviation in self.deviations)

    def text(self, tolerance: float) -> str:
        """Return some lines for display."""
        is_identical = all(deviation.is_identical for deviation in self.deviations)
        is_other_code = any(change.startswith("code") for change in self.changes)
        head = f"{'agrees ' if self.agrees(tolerance) else 'DIFFERS'}  {self.folder}"
        if is_other_code:
            head += ": done by OTHER CODE than is here now"
        elif self.agrees(tolerance) and not is_identical:
            head += ": near, but not bit-identical"
        lines = [head, *(f"  {deviation.text(tolerance)}" for deviation in self.deviations)]
        if is_identical and not is_other_code:
            return "\n".join(lines)
        if is_identical:
            lines += ["  what is not as it was then:", *(f"    {text}" for text in self.changes)]
        elif self.changes:
            lines.append("  what is not as it was then, and may be the cause:")
            lines += [f"    {change}" for change in self.changes]
        else:
            lines.append(
                "  code, versions, device, threads and switches are the same as then; so something "
                "here is not reproducible (on a GPU, `deterministic: true` in the sweep may help)"
            )
        return "\n".join(lines)


def compare_entries(what: str, then: Iterable[Entry], now: Iterable[Entry]) -> Deviation:
    """Compare the values of entries on record with those of now.

    >>> entry = {"step": 1, "split": "train", "metric": "kl", "protocol": "", "value": 2.0}
    >>> compare_entries("losses", [entry], [entry | {"value": 2.002}]).where
    'kl at 1: 2.0 then, 2.002 now'
    """

    def deviation(old: float | None, new: float | None) -> float:
        if old == new:
            return 0.0
        return inf if old is None or new is None else abs(new - old) / max(abs(old), FLOOR)

    before, after = (
        {key: entry.get("value") for key, entry in by_key(entries).items()}
        for entries in (then, now)
    )
    shared = {key: deviation(before[key], after[key]) for key in before if key in after}
    largest, where = 0.0, ""
    if shared:
        worst, largest = max(shared.items(), key=lambda item: item[1])
        where = f"{worst[2]} at {worst[0]}: {before[worst]} then, {after[worst]} now"
    unmatched = [
        f"{key[2]} {key[3]}".strip() + f" only {'then' if key in before else 'now'}"
        for key in [*before, *after]
        if key not in shared
    ]
    return Deviation(what, len(shared), largest, where, tuple(dict.fromkeys(unmatched)))


def compare_weights(then: Path, now: Path) -> Deviation:
    """Compare two files of weights; deviations are relative to the largest weight of a tensor."""
    before, after = load_weights(then), load_weights(now)

    def deviation(name: str) -> float:
        old, new = before[name].double(), after[name].double()
        if torch.equal(old, new):
            return 0.0
        largest = float((old - new).abs().max() / old.abs().max().clamp(min=FLOOR))
        return inf if isnan(largest) else largest  # of which no maximum takes notice

    shared = sorted(
        name
        for name in before.keys() & after.keys()
        if before[name].shape == after[name].shape and before[name].numel()
    )
    if not shared:
        return Deviation("weights", 0, 0.0, "", tuple(sorted({*before, *after})))
    worst = max(shared, key=deviation)
    unmatched = tuple(sorted({*before, *after} - {*shared}))
    return Deviation("weights", len(shared), deviation(worst), worst, unmatched)


def changes_since(
    folder: Path, now: provenance.Origin, switches: SwitchSet, rows: Iterable[Path] = ()
) -> tuple[str, ...]:
    """Return in words what `now`, executed with `switches`, has that a run did not have.

    `autotune` is among it, since the algorithms that it finds need not be those of then. Sampling
    `rows`, which may have been drawn later than the run, add what only they did not have.
    """
    recorded = read_provenance(folder)
    if not recorded:
        return ("where it was done is not on record",)
    notes = read_execution(folder)
    executed = notes.pop("switches", None)
    on = executed.get("on", []) if executed else switches.names
    if on != switches.names or (executed and switches.autotune):
        notes["switches"] = ", ".join(on) or "none"
    changes = dict.fromkeys(f"done with {key} then: {value}" for key, value in notes.items())
    if not executed:  # the file is lost or damaged, or as old as to hold none
        changes[f"with which switches it was done is not on record in {EXECUTION}"] = None
    changes |= dict.fromkeys(_origin_changes(recorded, now))
    for row in rows:
        new = [text for text in _origin_changes(read_provenance(row), now) if text not in changes]
        changes |= dict.fromkeys(f"{row.parent.name}/{row.name}: {text}" for text in new)
    return tuple(changes)


def _origin_changes(recorded: provenance.Origin, now: provenance.Origin) -> Iterator[str]:
    """Yield in words what `now` has that the sessions of a folder did not have."""
    present = _environment(now)
    for session in sessions_of(recorded):
        for key, value in _environment(session).items():
            if key in present and value != present[key]:
                yield f"{key.replace('_', ' ')}: {value} then, {present[key]} now"
        sources, then = session.get("sources", {}), version_text(session)
        files = set().union(*changed_files(*_of_common_metrics(sources, now["sources"])).values())
        if files:
            yield f"code, {then} then: {', '.join(sorted(files))}"
        elif not sources and then != version_text(now):
            yield f"code: {then} then, {version_text(now)} now"


def _of_common_metrics(*sides: Sources) -> list[Sources]:
    """Return sources without files of metrics that one side alone has: others are asked for."""
    common = set.intersection(*(set(side.get("metrics", {})) for side in sides))
    return [
        {**side, "metrics": {file: side["metrics"][file] for file in common}}
        if "metrics" in side
        else side
        for side in sides
    ]


def _environment(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can change last digits, a value each."""
    nested = [origin.get(key, {}) for key in ("versions", "flags", "variables")]
    plain = {key: origin[key] for key in ENVIRONMENT if key in origin}
    return plain | {key: value for part in nested for key, value in part.items()}
