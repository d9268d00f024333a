"""Training curves: a panel a loss, a line a run, a bold one for the mean over seeds."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NotApplicable, UnknownName
from bench.reporting.figures.style import DOUBLE, color, dashes
from bench.reporting.figures.view import Drawn, Variant, View

MOST, PANELS, ACROSS = 8, 6, 3
WIDE_RANGE = 50
"""Curves whose largest value is so many times the smallest are drawn on a logarithmic axis."""


def draw(view: View) -> Drawn:
    """Return the curves of the losses that most variants have, or of those asked for."""
    shown, notes = view.fitting(view.variants, MOST)
    curves = view.records.finished(view.records.curves)
    keys = pd.DataFrame({"sweep": v.sweep, "variant": v.name} for v in shown)
    curves = curves[curves["data"] == view.data].merge(keys, on=["sweep", "variant"])
    if curves.empty:
        raise NotApplicable("no training curve was recorded")
    spread = curves.groupby("metric", sort=False)["variant"].nunique()
    known = list(spread.sort_values(ascending=False, kind="stable").index)
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
        _panel(axes, curves[curves["metric"] == metric], shown)
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


def _panel(axes: Axes, curves: pd.DataFrame, shown: list[Variant]) -> None:
    values = curves["value"][curves["value"].notna()]
    for variant in shown:
        mine = curves[(curves["sweep"] == variant.sweep) & (curves["variant"] == variant.name)]
        if mine.empty:
            continue
        style: dict[str, Any] = {"color": color(variant.place), "ls": dashes(variant.place)}
        runs = [run for _, run in mine.groupby("run", sort=False)]
        for run in runs if len(runs) > 1 else []:
            axes.plot(run["step"], run["value"], lw=0.4, alpha=0.5, **style)
        mean = mine.groupby("step")["value"].mean()
        axes.plot(mean.index, mean, **style)
    low, high = float(values.min()), float(values.max())
    if low > 0 and math.isfinite(high) and high / low > WIDE_RANGE:
        axes.set_yscale("log")
