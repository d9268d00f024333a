"""Training curves: one panel per loss, a line per run, a bold one for the mean over seeds."""

from statistics import fmean
from typing import Any

from matplotlib.axes import Axes

from bench.errors import NotApplicable, UnknownName
from bench.record.sweep_folder import RecordedRun
from bench.reporting.drawing import style
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, FigureVariant

MOST = len(style.COLORS)

WIDE_RANGE = 50
"""Curves whose largest value is this many times the smallest are drawn on a logarithmic axis."""

Curves = dict[FigureVariant, dict[RecordedRun, dict[int, float]]]
"""Variant -> run -> iteration -> value."""


def draw(data: FigureData) -> CaptionedFigure:
    """Return the curves of the losses that most variants have, or of those asked for."""
    trained = [v for v in data.variants if not v.is_sampling_row]
    shown, notes = data.limit_variants(trained, MOST)
    variant_of = {run: variant for variant in shown for run in variant.runs}
    curves: dict[str, Curves] = {}
    for entry in data.records.curves:
        if variant := variant_of.get(entry.run):
            of_variant = curves.setdefault(entry.metric, {}).setdefault(variant, {})
            if entry.value is not None:
                of_variant.setdefault(entry.run, {})[entry.step] = entry.value
    if not curves:
        raise NotApplicable("no training curve was recorded")
    for name in data.metrics:
        if name not in curves:
            raise UnknownName("curve", name, curves)
    names = data.metrics or sorted(curves, key=lambda metric: -len(curves[metric]))
    names, left_out = data.limit_panels([(name, name) for name in names])
    drawn = [variant for variant in shown if any(curves[name].get(variant) for name in names)]
    if without := [variant.label for variant in shown if variant not in drawn]:
        left_out.append(f"Without any of the losses shown: {', '.join(without)}.")
    columns, height = style.legend_below([v.short_label for v in drawn], len(names))
    figure, cells = style.panel_grid(len(names), 1.55, extra=height)
    for name, axes in zip(names, cells.flat, strict=False):
        _draw_panel(axes, {v: curves[name][v] for v in drawn if v in curves[name]})
        axes.set_title(name)
    style.label_columns(cells, len(names), "iteration")
    for variant in drawn:
        cells.flat[0].plot([], [], label=variant.short_label, **_look(variant))
    figure.legend(loc="outside lower center", ncols=columns, handlelength=2.8)
    caption = "Thin: single runs; bold: their mean. A title is STAGE/TERM of the objective."
    return CaptionedFigure(figure, [*notes, *left_out, caption])


def _draw_panel(axes: Axes, curves: Curves) -> None:
    for variant, runs in curves.items():
        for run in runs.values() if len(runs) > 1 else []:
            axes.plot(list(run), list(run.values()), lw=0.4, alpha=0.5, **_look(variant))
        steps = sorted({step for run in runs.values() for step in run})
        means = [fmean(run[step] for run in runs.values() if step in run) for step in steps]
        axes.plot(steps, means, **_look(variant))
    values = [v for runs in curves.values() for run in runs.values() for v in run.values()]
    style.scale_axis(axes, "y", values, WIDE_RANGE)


def _look(variant: FigureVariant) -> dict[str, Any]:
    return {"color": style.color(variant.index), "ls": style.dashes(variant.index)}
