"""Training curves as plain data, thinned so that hundreds of runs stay one light file."""

from typing import Any

import numpy as np

from bench.record.records import Records, seeds
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
    keys = ["data", "metric", "split", "protocol", "sweep", "variant", "run"]
    for group, frame in records.curves.groupby(keys, sort=False):
        data, metric, split, protocol, sweep, variant, _ = map(str, group)
        kept = thin(len(frame))
        suffix = ", ".join(filter(None, (split if split != "train" else "", protocol)))
        chart = charts.setdefault(
            (data, metric, suffix), {"data": data, "term": metric, "suffix": suffix, "lines": []}
        )
        own = tuple(frame["step"].to_numpy()[kept].tolist())
        chart["lines"].append(
            {
                "variant": variants.place(sweep, variant),
                "seed": next(iter(seeds({"seed": frame["seed"].iloc[0]})), None),
                "steps": steps.setdefault(own, len(steps)),
                "values": [_short(value) for value in frame["value"].to_numpy()[kept]],
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


def _short(value: float) -> float | None:
    """Return a value with the digits that a chart can show; None where there is none."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
