"""Metrics over the training: a panel per metric, a line per variant, intervals as bands.

Training curves show losses; these are measurements of samples, drawn from each snapshot.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from bench.errors import NotApplicable
from bench.reporting.drawing import style
from bench.reporting.figures.figure_data import (
    CaptionedFigure,
    FigureData,
    FigureVariant,
    axis_title,
)
from bench.reporting.statistics import Estimate

MOST = len(style.COLORS)


def draw(data: FigureData) -> CaptionedFigure:
    """Return the metrics that were measured of snapshots, or those of them that were asked for."""
    trained = [v for v in data.variants if not v.is_sampling_row]
    shown, notes = data.limit_variants(trained, MOST)
    paths = {}
    for column in data.columns(data.metrics):
        of_column = {v: data.intervals_by_step(column, v) for v in shown}
        if any(len(path) > 1 for path in of_column.values()):
            paths[column] = {v: path for v, path in of_column.items() if path}
    if not paths:
        named = f" {' or '.join(data.metrics)}" if data.metrics else ""
        raise NotApplicable(
            f"no snapshot was measured{' by' * bool(named)}{named}; `snapshots: 5` in the base of "
            "the sweep keeps and measures some"
        )
    columns, left_out = data.limit_panels([(column.metric, column) for column in paths])
    drawn = [v for v in shown if any(v in paths[column] for column in columns)]
    across, height = style.legend_below([v.short_label for v in drawn], len(columns))
    figure, cells = style.panel_grid(len(columns), 1.7, extra=height)
    for column, axes in zip(columns, cells.flat, strict=False):
        _draw_panel(axes, paths[column])
        if (real := data.real_value(column)) is not None:
            axes.axhline(real, color=style.REAL_COLOR, lw=0.8, ls=(0, (4, 2)), zorder=0)
        axes.set_title(style.wrap_title(axis_title(column)), fontsize=style.NORMAL)
    style.label_columns(cells, len(columns), "iteration")
    for variant in drawn:
        cells.flat[0].plot([], [], label=variant.short_label, **_look(variant))
    figure.legend(loc="outside lower center", ncols=across, handlelength=2.8)
    counts = [
        interval.n
        for column in columns
        for path in paths[column].values()
        for interval in path.values()
    ]
    seeds = dict.fromkeys((min(counts), max(counts)))
    notes += [
        *left_out,
        f"Lines: means over seeds ({' to '.join(map(str, seeds))}); bands: 95 % t intervals.",
    ]
    if any(data.real_value(column) is not None for column in columns):
        notes.append("Dashed: the real test images.")
    if rest := [v.label for v in shown if v not in drawn]:
        notes.append(f"Without a measurement of the metrics shown: {', '.join(rest)}.")
    if rest := [v.label for v in data.variants if v.is_sampling_row]:
        notes.append(f"Not shown, since they are drawn from the last weights: {', '.join(rest)}.")
    notes += [f"Protocol: {c.quantity.title} by {c.protocol}." for c in columns if c.protocol]
    return CaptionedFigure(figure, notes)


def _draw_panel(axes: Axes, paths: Mapping[FigureVariant, Mapping[int, Estimate]]) -> None:
    for variant, path in paths.items():
        means = [interval.mean for interval in path.values()]
        halves = [interval.half_width() or 0.0 for interval in path.values()]
        low, high = ([m + sign * h for m, h in zip(means, halves, strict=True)] for sign in (-1, 1))
        steps, look = list(path), _look(variant)
        axes.fill_between(steps, low, high, color=look["color"], alpha=0.08, lw=0)
        for edge in (low, high):  # bands that overlap are told apart by their edges
            axes.plot(steps, edge, color=look["color"], ls=look["ls"], lw=0.4)
        axes.plot(steps, means, **look)


def _look(variant: FigureVariant) -> dict[str, Any]:
    marker, dashes = style.marker(variant.index), style.dashes(variant.index)
    return {"color": style.color(variant.index), "ls": dashes, "marker": marker, "ms": 3}
