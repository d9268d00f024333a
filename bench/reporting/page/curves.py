"""Training curves as plain data, thinned so that hundreds of runs stay one light file."""

from typing import Any

import numpy as np

from bench.record.records import RecordEntry, Records
from bench.reporting.page.variants import PageVariants

POINTS = 160
"""Most points of one curve: more than a chart has pixels to tell apart."""


def describe_curves(records: Records, variants: PageVariants) -> dict[str, Any]:
    """Return the training curves of all runs, finished or not.

    `charts` are those of each data set and term; their `lines` name their steps by an index into
    `steps`, the different lists of steps.
    """
    steps: dict[tuple[int, ...], int] = {}
    charts: dict[tuple[str, str, str], dict[str, Any]] = {}
    curves: dict[tuple[object, ...], list[RecordEntry]] = {}
    for entry in records.curves:
        key = entry.run, entry.metric, entry.split, entry.protocol
        curves.setdefault(key, []).append(entry)
    for entries in curves.values():
        run, term = entries[0].run, entries[0].metric
        split = entries[0].split if entries[0].split != "train" else ""
        suffix = ", ".join(filter(None, (split, entries[0].protocol)))
        new: dict[str, Any] = {"data": run.data, "term": term, "suffix": suffix, "lines": []}
        chart = charts.setdefault((run.data, term, suffix), new)
        kept = [entries[index] for index in thin(len(entries))]
        chart["lines"].append(
            {
                "variant": variants.index(run.sweep, run.variant),
                "seed": run.seed,
                "steps": steps.setdefault(tuple(entry.step for entry in kept), len(steps)),
                "values": [e.value if e.value is None else float(f"{e.value:.4g}") for e in kept],
            }
        )
    return {"steps": [list(some) for some in steps], "charts": list(charts.values())}


def thin(count: int, most: int = POINTS) -> list[int]:
    """Return which points of a curve are kept: evenly spaced, the first and the last among them.

    >>> thin(3)
    [0, 1, 2]
    >>> thin(9, most=3)
    [0, 4, 8]
    """
    if count <= most:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, most).round()]
