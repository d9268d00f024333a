"""Training curves as plain data, thinned so that hundreds of runs stay one light file."""

from typing import Any

from bench.record.records import Records
from bench.reporting.grouping import evenly_spaced, grouped
from bench.reporting.page.variants import PageVariants

POINTS = 160
"""Most points of one curve: more than a chart has pixels to tell apart."""


def describe_curves(records: Records, variants: PageVariants) -> dict[str, Any]:
    """Return the `charts` of each data set and term, whose lines have an index into `steps`."""
    steps: dict[tuple[int, ...], int] = {}
    charts: dict[tuple[str, str, str], dict[str, Any]] = {}
    curves = grouped(((e.run, e.metric, e.split, e.protocol), e) for e in records.curves)
    for (run, term, split, protocol), entries in curves.items():
        suffix = ", ".join(filter(None, (split if split != "train" else "", protocol)))
        new: dict[str, Any] = {"data": run.data, "term": term, "suffix": suffix, "lines": []}
        chart = charts.setdefault((run.data, term, suffix), new)
        kept = [entries[index] for index in evenly_spaced(len(entries), POINTS)]
        chart["lines"].append(
            {
                "variant": variants.index(run.sweep, run.variant),
                "seed": run.seed,
                "steps": steps.setdefault(tuple(entry.step for entry in kept), len(steps)),
                "values": [e.value if e.value is None else float(f"{e.value:.4g}") for e in kept],
            }
        )
    return {"steps": [list(some) for some in steps], "charts": list(charts.values())}
