"""Training curves: a panel a loss, a line a run, a bold one for the mean over seeds."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NotApplicable, UnknownName
from bench.record.records import RecordEntry
from bench.reporting.figures.style import DOUBLE, color, dashes
from bench.reporting.figures.view import Drawn, Variant, View

MOST, PANELS, ACROSS = 8, 6, 3
WIDE_RANGE = 50
"""Curves whose largest value is so many times the smallest are drawn on a logarithmic axis."""


def draw(view: View) -> Drawn:
    """Return the curves of the losses that most variants have, or of those asked for."""
    shown, notes = view.fitting(view.variants, MOST)
    keys = {(variant.sweep, variant.name) for variant in shown}
    runs = {run for run in view.records.measured_runs if (run.sweep, run.variant) in keys}
    curves = [e for e in view.records.curves if e.run in runs and e.run.data == view.data]
    if not curves:
        raise NotApplicable("no training curve was recorded")
    spread: dict[str, set[str]] = {}
    for entry in curves:
        spread.setdefault(entry.metric, set()).add(entry.run.variant)
    known = sorted(spread, key=lambda metric: -len(spread[metric]))
    for name in view.choice.metrics:
        if name not in known:
            raise UnknownName("curve", name, known)
    wanted = list(view.choice.metrics) or known[:PANELS]
    if left := [] if view.choice.metrics else known[PANELS:]:
        notes.append(f"Left out: {', '.join(left)}; --metric NAME chooses.")
    rows = -(-len(wanted) // ACROSS)
    across = min(ACROSS, len(wanted))
    legend = 0.16 * -(-len(shown) // 4) + 0.1
    figure = Figure(figsize=(DOUBLE, 1.55 * rows + legend), layout="constrained")
    cells = figure.subplots(rows, across, squeeze=False)
    for metric, axes in zip(wanted, cells.flat, strict=False):
        _panel(axes, [entry for entry in curves if entry.metric == metric], shown)
        axes.set_title(metric)
    for axes in cells.flat[len(wanted) :]:
        axes.set_axis_off()
    for axes in cells[-1]:
        axes.set_xlabel("iteration")
    for variant in shown:
        style: dict[str, Any] = {"color": color(variant.place), "ls": dashes(variant.place)}
        cells.flat[0].plot([], [], label=variant.label, **style)
    figure.legend(loc="outside lower center", ncols=4, handlelength=2.8)
    notes.append("Thin: single runs; bold: their mean. A title is STAGE/TERM of the objective.")
    return Drawn(figure, tuple(notes))


def _panel(axes: Axes, curves: Sequence[RecordEntry], shown: list[Variant]) -> None:
    values = [entry.value for entry in curves if entry.value is not None]
    for variant in shown:
        runs: dict[str, dict[int, float]] = {}
        steps: dict[int, list[float]] = {}
        for entry in curves:
            is_mine = (entry.run.sweep, entry.run.variant) == (variant.sweep, variant.name)
            if is_mine and entry.value is not None:
                runs.setdefault(entry.run.id, {})[entry.step] = entry.value
                steps.setdefault(entry.step, []).append(entry.value)
        style: dict[str, Any] = {"color": color(variant.place), "ls": dashes(variant.place)}
        for run in runs.values() if len(runs) > 1 else []:
            axes.plot(list(run), list(run.values()), lw=0.4, alpha=0.5, **style)
        if steps:
            means = [sum(steps[step]) / len(steps[step]) for step in sorted(steps)]
            axes.plot(sorted(steps), means, **style)
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low > 0 and math.isfinite(high) and high / low > WIDE_RANGE:
        axes.set_yscale("log")
