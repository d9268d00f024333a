"""Which snapshot of a run stands in a table: a rule with a name, chosen when a report is made.

`last` is the end of the training. `val-<metric>` is the snapshot of each run with the best figure
on validation images, by a judge that no table uses. `oracle-<metric>` looks at the test images
themselves: what such a table shows could not have been had, and a note under it says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.errors import BenchError, UnknownName, describe_unknown
from bench.record.records import LAST, Records, Selection, plain
from bench.reporting.tables.table_spec import Direction, Names
from bench.spec.reserved_names import EVALUATIONS, REAL, VALIDATION

Figure = Mapping[str, Any]

RULES = {"val": VALIDATION, "oracle": "samples"}  # rule -> the split that it looks at


def select(records: Records, rule: str, names: Names) -> Records:
    """Let a rule choose one snapshot of every run.

    Args:
        records: What has been measured.
        rule: `last`, `val-<metric>` or `oracle-<metric>`, a metric by the name of its figures.
        names: They know which values of a metric are better.

    Returns:
        The same records, of which `final` holds the figures of the chosen snapshots.

    Raises:
        UnknownName: If there is no such rule; suggests the nearest.
        BenchError: If runs lack the figures that the rule looks at; says what to do.
    """
    if rule == LAST.rule:
        return records
    kind, _, metric = rule.partition("-")
    if kind not in RULES:
        known = sorted({str(name) for name in records.figures["metric"]})
        raise UnknownName("selection rule", rule, ["last", *(f"val-{name}" for name in known)])
    figures = records.finished(records.figures)
    figures = figures[(figures["sweep"] != EVALUATIONS) & figures["value"].notna()]
    figures = figures[figures["split"].isin([RULES[kind], REAL])]
    held = plain(figures[figures["metric"] == metric])
    direction = _direction(metric, [str(name) for name in figures["metric"]], names, rule)
    runs: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in held:
        if figure["variant"] not in records.untrained:
            runs.setdefault(_key(figure), []).append(figure)
    _refuse_lacking(records, runs, metric, kind)
    steps = {
        run: _best(own, direction, _real(own[0], held, kind) if direction == "real" else 1.0)
        for run, own in runs.items()
    }
    counts = sorted({len(own) for own in runs.values()})
    title = found.title if (found := names.metric(metric)) else metric
    return replace(records, selection=Selection(rule, steps, _note(kind, title, counts)))


def _key(row: Figure) -> tuple[str, str, str]:
    return row["sweep"], row["run"], row["variant"]


def _direction(metric: str, known: Sequence[str], names: Names, rule: str) -> Direction:
    """Return which values of a metric are better; refuse what cannot choose."""
    if metric not in known:
        told = describe_unknown("metric", metric, set(known))
        raise BenchError(
            f"--select {rule}: {told}" if known else f"--select {rule}: {_remedy(rule)}"
        )
    found = names.metric(metric)
    if found is None or found.direction is None:
        raise BenchError(
            f"--select {rule}: nobody has said which values of {metric} are better; give it a "
            "direction in tables.yaml"
        )
    return found.direction


def _refuse_lacking(
    records: Records, runs: Mapping[tuple[str, str, str], object], metric: str, kind: str
) -> None:
    """Refuse to choose for some runs and not for others."""
    done = records.runs[records.runs["state"] == "done"]
    trained = [
        run
        for run in plain(done[~done["variant"].isin(records.untrained)])
        if run["sweep"] != EVALUATIONS
    ]
    lacking = [run for run in trained if _key(run) not in runs]
    if lacking:
        first = lacking[0]
        raise BenchError(
            f"--select {kind}-{metric}: {len(lacking)} of {len(trained)} finished runs have no "
            f"such figure, for example {first['variant']!r} of sweep {first['sweep']}; "
            f"{_remedy(kind)}"
        )


def _remedy(rule: str) -> str:
    splits = ", splits: [test, validation]" if rule.startswith("val") else ""
    return f"give its base snapshots: 4{splits} and the metric, and run it again"


def _real(figure: Figure, held: Sequence[Figure], kind: str) -> float:
    """Return the value of the real images of the same split, by the same protocol if there is."""
    split = REAL if kind == "oracle" else VALIDATION
    same = [
        other
        for other in held
        if (other["variant"], other["split"]) == (REAL, split)
        and (other["sweep"], other["data"]) == (figure["sweep"], figure["data"])
    ]
    same.sort(key=lambda other: other["protocol"] != figure["protocol"])
    if not same:
        raise BenchError(
            f"{figure['metric']} is better the nearer it is to the real images, which sweep "
            f"{figure['sweep']} has not measured on this split; its controls must name {REAL}"
        )
    return float(same[0]["value"])


def _best(figures: Sequence[Figure], direction: Direction, target: float) -> int:
    """Return the step of the best of a run's figures, the latest of equals."""
    protocols = sorted({figure["protocol"] for figure in figures})
    if len(protocols) > 1:
        raise BenchError(
            f"{figures[0]['metric']} was measured by several protocols, of which none is the one "
            f"to choose by: {'; '.join(protocols)}"
        )
    best = min(figures, key=lambda f: (loss(f["value"], direction, target), -f["step"]))
    return int(best["step"])


def loss(value: float, direction: Direction, target: float) -> float:
    """Return how bad a figure is: less is better.

    Args:
        value: The figure.
        direction: Which values are better.
        target: What is best where the direction is `real` or `one`; 1 for the latter.

    Returns:
        The value with the sign of a loss, or its distance from the target.

    Example:
        >>> loss(0.4, "real", 0.5) < loss(0.7, "real", 0.5)
        True
        >>> loss(9.0, "higher", 0.0) < loss(8.0, "higher", 0.0)
        True
    """
    if direction in ("real", "one"):
        return abs(value - target)
    return -value if direction == "higher" else value


def _note(kind: str, title: str, counts: Sequence[int]) -> str:
    """Say how snapshots were chosen."""
    several = counts[-1] > 1
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    which = f"of the {number} snapshots of each run" if several else "each run has one snapshot, so"
    if kind == "oracle":
        return (
            f"Warning: selected by an oracle: {which} the one with the best {title} on the test "
            "images themselves. Figures chosen so are too good, and no result."
        )
    return (
        f"Selection: {which} the one with the best {title} on validation images, by a judge that "
        "no column uses; chosen for each run by itself."
    )
