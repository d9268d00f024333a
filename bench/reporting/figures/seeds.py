"""Every run as a dot, the mean with its interval beside: what a table's ± is made of."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NotApplicable
from bench.reporting.figures.scatter import titled
from bench.reporting.figures.style import DOUBLE, NORMAL, REAL_COLOR, SMALL, color, marker, packed
from bench.reporting.figures.view import Drawn, Measure, Variant, View

MOST, PANELS, ACROSS = 30, 6, 3

LETTERS = 32
"""Of a title in one line."""


def draw(view: View) -> Drawn:
    """Return a panel a metric, a row a variant."""
    measures = view.measures(view.choice.metrics)
    if not view.choice.metrics:
        measures = [m for m in measures if m.kind == "measured"]
    if not measures:
        raise NotApplicable("nothing was measured")
    shown, notes = view.fitting(view.variants, MOST)
    if not view.choice.metrics and len(measures) > PANELS:
        left = dict.fromkeys(measure.metric for measure in measures[PANELS:])
        notes.append(f"Left out: {', '.join(left)}; --metric NAME chooses.")
        measures = measures[:PANELS]
    across = min(ACROSS, len(measures))
    rows = -(-len(measures) // across)
    figure = Figure(figsize=(DOUBLE, rows * (0.155 * len(shown) + 0.55)), layout=packed())
    cells = figure.subplots(rows, across, squeeze=False, sharey=True)
    for measure, axes in zip(measures, cells.flat, strict=False):
        _panel(axes, view, measure, shown)
    for axes in cells.flat[len(measures) :]:
        axes.set_axis_off()
    first = cells[0][0]
    first.set_yticks(range(len(shown)), [variant.label for variant in shown])
    first.set_ylim(len(shown) - 0.5, -0.5)
    notes.append("Small: single runs; large: their mean with its 95 % t interval.")
    if any(view.real_value(measure) is not None for measure in measures):
        notes.append("Dashed: the real test images.")
    notes += [f"Protocol: {measure.title} by {measure.protocol}." for measure in measures]
    return Drawn(figure, tuple(notes))


def _panel(axes: Axes, view: View, measure: Measure, shown: list[Variant]) -> None:
    for row, variant in enumerate(shown):
        values = view.values(measure, variant)
        found = view.interval(measure, variant)
        if found is None:
            axes.annotate(
                "n/a", (0.5, row), xycoords=("axes fraction", "data"), ha="center", va="center",
                fontsize=SMALL, color=REAL_COLOR,
            )  # fmt: skip
            continue
        ink = color(variant.place)
        axes.plot(values, [row + 0.18] * len(values), "o", color=ink, ms=2.2, mew=0, alpha=0.7)
        axes.errorbar(
            found.mean, row - 0.12, xerr=found.half_width, fmt=marker(variant.place), color=ink,
            ms=4, elinewidth=1, capsize=0,
        )  # fmt: skip
    real = view.real_value(measure)
    if real is not None:
        axes.axvline(real, color=REAL_COLOR, lw=0.8, ls=(0, (4, 2)), zorder=0)
    axes.set_title(textwrap.fill(titled(measure), LETTERS), fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", lw=0.5, zorder=-1)
