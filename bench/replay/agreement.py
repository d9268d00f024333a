"""What came out when a run was done again, beside its record: how far apart, and why perhaps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.record import provenance
from bench.record.execution_notes import read_execution
from bench.record.files import read_json
from bench.record.jsonl import by_key
from bench.record.provenance import (
    changed_files,
    comparable_sources,
    sessions_of,
    version_text,
)
from bench.reporting.notes.wording import first_few

FLOOR = 0.01
"""A deviation is relative to the value on record, but to no less than this."""

MOST = 6
"""A line names no more values than this."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Values on record beside those of now.

    Attributes:
        what: What was compared.
        compared: How many values.
        largest: Largest relative deviation; 0 only where all are equal to the last bit.
        where: Where that was, with both values.
        strangers: What only one of both has.
    """

    what: str
    compared: int
    largest: float
    where: str = ""
    strangers: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether every value is the same to the last bit."""
        return self.largest == 0 and not self.strangers

    def agrees(self, tolerance: float) -> bool:
        """Return whether nothing deviates by more than that, and both have the same values."""
        return self.largest <= tolerance and not self.strangers

    def text(self, tolerance: float) -> str:
        """Return one line for people."""
        if self.strangers:
            return f"{self.what}: not the same values: {first_few(self.strangers, MOST, '; ')}"
        if self.is_identical:
            return f"{self.what}: all {self.compared} bit-identical"
        verdict = "within" if self.agrees(tolerance) else "beyond"
        return (
            f"{self.what}: {self.compared} compared, largest deviation {self.largest:.1e} "
            f"({self.where}), {verdict} the tolerance of {tolerance:g}"
        )


@dataclass(frozen=True)
class Verdict:
    """How a run came out when it was done again.

    Attributes:
        folder: The run on record.
        comparisons: What was compared.
        differences: What is not here as it was there: code, versions, device, threads.
    """

    folder: Path
    comparisons: tuple[Comparison, ...]
    differences: tuple[str, ...]

    def agrees(self, tolerance: float) -> bool:
        """Return whether all comparisons agree."""
        return all(comparison.agrees(tolerance) for comparison in self.comparisons)

    def text(self, tolerance: float) -> str:
        """Return some lines for people."""
        lines = [f"{'agrees ' if self.agrees(tolerance) else 'DIFFERS'}  {self.folder}"]
        lines += [f"  {comparison.text(tolerance)}" for comparison in self.comparisons]
        if all(comparison.is_identical for comparison in self.comparisons):
            return "\n".join(lines)
        if self.differences:
            lines.append("  what is not as it was then, and may be the cause:")
            lines += [f"    {difference}" for difference in self.differences]
        else:
            lines.append(
                "  code, versions, device and threads are the same as then; so something here is "
                "not reproducible (on a GPU, `deterministic: true` in the sweep may help)"
            )
        return "\n".join(lines)


def compare_rows(what: str, then: Iterable[Row], now: Iterable[Row]) -> Comparison:
    """Compare rows that stand for the same.

    Args:
        what: What to call them.
        then: The rows on record.
        now: The rows of now.

    Returns:
        The comparison.

    Example:
        >>> row = {"step": 1, "split": "train", "metric": "kl", "protocol": "", "value": 2.0}
        >>> compare_rows("losses", [row], [row | {"value": 2.002}]).text(1e-2)
        'losses: 1 compared, largest deviation 1.0e-03 (kl at 1: 2.0 then, 2.002 now), within the tolerance of 0.01'
    """  # noqa: E501
    before, after = by_key(then), by_key(now)
    largest, where = 0.0, ""
    for key in before.keys() & after.keys():
        one, other = before[key].get("value"), after[key].get("value")
        if one == other:
            continue
        deviation = float("inf")
        if one is not None and other is not None:
            deviation = abs(other - one) / max(abs(one), FLOOR)
        if deviation > largest:
            largest, where = deviation, f"{key[2]} at {key[0]}: {one} then, {other} now"
    strangers = [
        f"{row['metric']} {row.get('protocol', '')}".strip() + f" only {side}"
        for side, held, others in (("then", before, after), ("now", after, before))
        for key, row in held.items()
        if key not in others
    ]
    strangers = list(dict.fromkeys(strangers))
    return Comparison(what, len(before.keys() & after.keys()), largest, where, tuple(strangers))


def differences(folder: Path, here: provenance.Origin) -> tuple[str, ...]:
    """Return what is not here as it was when a run was done, in words.

    Args:
        folder: Folder of the run.
        here: What `provenance.collect` says now.

    Returns:
        A text for each difference.
    """
    path = folder / provenance.NAME
    if not path.exists():
        return ("where it was done is not on record",)
    notes = read_execution(folder)
    if switches := notes.pop("switches", {}).get("on"):  # else it was eager, as here
        notes["switches"] = ", ".join(switches)
    found = dict.fromkeys(f"done with {key} then: {value}" for key, value in notes.items())
    for session in sessions_of(read_json(path)):
        flat, now = _flat(session), _flat(here)
        for key in flat:
            if key in now and flat[key] != now[key]:
                found[f"{key.replace('_', ' ')}: {flat[key]} then, {now[key]} now"] = None
        sources = comparable_sources(session)
        changed = set().union(*changed_files(sources, here["sources"]).values())
        if changed:
            found[f"code, {version_text(session)} then: {', '.join(sorted(changed))}"] = None
        elif not sources and version_text(session) != version_text(here):
            found[f"code: {version_text(session)} then, {version_text(here)} now"] = None
    return tuple(found)


def _flat(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return what matters of a place, a value each, by names for people."""
    plain = ("device", "device_name", "platform", "python", "threads", "tf32", "cuda", "cudnn")
    nested = {
        **origin.get("versions", {}),
        **origin.get("flags", {}),
        **origin.get("variables", {}),
    }
    return {key: origin[key] for key in plain if key in origin} | nested


def compare_weights(then: Path, now: Path) -> Comparison:
    """Compare two files of weights; deviations are relative to the largest weight of a tensor."""
    one, other = (torch.load(path, map_location="cpu", weights_only=True) for path in (then, now))
    largest, where = 0.0, ""
    for name in one.keys() & other.keys():
        a, b = one[name].double(), other[name].double()
        if torch.equal(a, b):
            continue
        deviation = float((a - b).abs().max()) / max(float(a.abs().max()), FLOOR)
        if deviation > largest:
            largest, where = deviation, name
    strangers = tuple(sorted(one.keys() ^ other.keys()))
    return Comparison("weights", len(one.keys() & other.keys()), largest, where, strangers)
