"""Rules that choose the snapshot of each run that tables show.

`last` is the end of the training. `val-<metric>` is the snapshot of each run with the best value
on validation images, by a classifier that no table uses. `oracle-<metric>` looks at the test images
themselves, so that its values are too good, and a note says so.
"""

from collections.abc import Sequence
from dataclasses import replace

from bench.errors import BenchError, UnknownName, describe_unknown
from bench.record.quantities import Direction
from bench.record.records import RecordEntry, Records
from bench.reporting.grouping import grouped
from bench.reporting.tables.table_spec import Names
from bench.spec.reserved_names import EVALUATIONS, REAL, VALIDATION

RULES = {"val": VALIDATION, "oracle": "samples"}
"""Rule -> the split that it looks at."""


def select_snapshots(records: Records, rule: str, names: Names) -> Records:
    """Return records whose `final` has the measurements of the snapshots that a rule chooses."""
    if rule == "last":
        return records
    kind, _, metric = rule.partition("-")
    if kind not in RULES:
        known_rules = {f"val-{entry.metric}" for entry in records.measurements}
        raise UnknownName("selection rule", rule, {"last", *known_rules})
    measured = set(records.measured_runs)
    entries = [
        entry
        for entry in records.measurements
        if entry.run in measured and entry.run.sweep != EVALUATIONS and not entry.run.sampling_id
        if entry.value is not None and entry.split in (RULES[kind], REAL)
    ]
    quantity = replace(records.quantities, overrides=names.quantities)[metric]
    if metric not in (known := {entry.metric for entry in entries}):
        problem = describe_unknown("metric", metric, known) if known else _remedy(kind)
        raise BenchError(f"--select {rule}: {problem}")
    if (direction := quantity.direction) is None:
        raise BenchError(
            f"--select {rule}: no direction is declared for {metric}; declare it in its metric, or "
            "under `metrics` in sweeps/tables.yaml"
        )
    entries = [entry for entry in entries if entry.metric == metric]
    runs = grouped((entry.run, entry) for entry in entries if entry.run.is_trained)
    trained = [run for run in records.measured_runs if run.is_trained]
    if lacking := [run for run in trained if run not in runs]:
        first = lacking[0]
        raise BenchError(
            f"--select {rule}: {len(lacking)} of {len(trained)} measured runs have no such value, "
            f"for example {first.variant!r} of sweep {first.sweep}; {_remedy(rule)}"
        )
    steps = {}
    for run, of_run in runs.items():
        target = _real_value(of_run[0], entries, kind) if direction == "real" else 1.0
        steps[run.key] = _best(of_run, direction, target)
    counts = sorted({len(of_run) for of_run in runs.values()})
    note = _note(kind, quantity.title, counts)
    if any(run.sampling_id for run in measured):
        note += " Rows of other sampling options are of the last weights."
    return replace(records, selection=rule, selected_steps=steps, selection_note=note)


def _remedy(rule: str) -> str:
    splits = ", splits: [test, validation]" if rule.startswith("val") else ""
    return f"give its base snapshots: 4{splits} and the metric, and run it again"


def _real_value(entry: RecordEntry, entries: Sequence[RecordEntry], kind: str) -> float:
    """Return the value of the real images on a split, by the same protocol if there is one."""
    split = REAL if kind == "oracle" else VALIDATION
    key = entry.run.sweep, entry.run.data, REAL, split
    same = [e for e in entries if (e.run.sweep, e.run.data, e.run.variant, e.split) == key]
    same.sort(key=lambda other: other.protocol != entry.protocol)
    if not same or same[0].value is None:
        raise BenchError(
            f"{entry.metric} is better the nearer it is to the real images, which sweep "
            f"{entry.run.sweep} has not measured on this split; its controls must name {REAL}"
        )
    return same[0].value


def _best(entries: Sequence[RecordEntry], direction: Direction, target: float) -> int:
    """Return the step of the best of a run's values, the latest of equal ones."""
    protocols = sorted({entry.protocol for entry in entries})
    if len(protocols) > 1:
        raise BenchError(
            f"{entries[0].metric} was measured by several protocols, of which none is the one "
            f"to choose by: {'; '.join(protocols)}"
        )
    losses = [(loss(e.value, direction, target), -e.step) for e in entries if e.value is not None]
    return -min(losses)[1]


def loss(value: float, direction: Direction, target: float) -> float:
    """Return a number that is less for a better value; `target` is that of `real` and `one`.

    >>> loss(0.4, "real", 0.5) < loss(0.7, "real", 0.5)
    True
    >>> loss(9.0, "higher", 0.0) < loss(8.0, "higher", 0.0)
    True
    """
    if direction in ("real", "one"):
        return abs(value - target)
    return -value if direction == "higher" else value


def _note(kind: str, title: str, counts: Sequence[int]) -> str:
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    which = f"of the {number} snapshots of each run"
    if counts[-1] == 1:
        which = "each run has one snapshot, so"
    if kind == "oracle":
        return (
            f"Warning: selected by an oracle: {which} the one with the best {title} on the test "
            "images themselves. Values chosen so are too good, and no result."
        )
    return (
        f"Selection: {which} the one with the best {title} on validation images, by a classifier "
        "that no column uses; chosen for each run by itself."
    )
