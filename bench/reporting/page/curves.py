"""Training curves as plain data, thinned so that hundreds of runs stay one light file."""

from typing import Any

import numpy as np

from bench.record.records import RecordEntry, Records
from bench.reporting.page.variants import Variants

POINTS = 160
"""Most points of one curve: more than a chart has pixels to tell apart."""


def describe_curves(records: Records, variants: Variants) -> dict[str, Any]:
    """Return the training curves of all runs, finished or not.

    Args:
        records: The sweeps to show.
        variants: What curves are curves of.

    Returns:
        `steps`, the different lists of steps; and `charts`, one for each data set and term, whose
        `lines` name their steps by place.
    """
    steps: dict[tuple[int, ...], int] = {}
    charts: dict[tuple[str, str, str], dict[str, Any]] = {}
    curves: dict[tuple[object, ...], list[RecordEntry]] = {}
    for entry in records.curves:
        key = entry.run, entry.metric, entry.split, entry.protocol
        curves.setdefault(key, []).append(entry)
    for entries in curves.values():
        run, metric, split, protocol = (
            (first := entries[0]).run,
            first.metric,
            first.split,
            first.protocol,
        )
        data = run.data
        kept = [entries[place] for place in thin(len(entries))]
        suffix = ", ".join(filter(None, (split if split != "train" else "", protocol)))
        chart = charts.setdefault(
            (data, metric, suffix), {"data": data, "term": metric, "suffix": suffix, "lines": []}
        )
        own = tuple(entry.step for entry in kept)
        chart["lines"].append(
            {
                "variant": variants.place(run.sweep, run.variant),
                "seed": run.seed,
                "steps": steps.setdefault(own, len(steps)),
                "values": [_short(entry.value) for entry in kept],
            }
        )
    return {"steps": [list(own) for own in steps], "charts": list(charts.values())}


def thin(count: int, most: int = POINTS) -> list[int]:
    """Return which points of a curve are kept: evenly spaced, the first and the last among them.

    Args:
        count: How many there are.
        most: How many may be kept, at least 2.

    Returns:
        Places in order.

    Example:
        >>> thin(3)
        [0, 1, 2]
        >>> thin(9, most=3)
        [0, 4, 8]
    """
    if count <= most:
        return list(range(count))
    return [int(place) for place in np.linspace(0, count - 1, most).round()]


def _short(value: float | None) -> float | None:
    """Return a value with the digits that a chart can show; None where there is none."""
    return None if value is None else float(f"{value:.4g}")
