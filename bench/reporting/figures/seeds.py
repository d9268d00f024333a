"""Every run as a dot, the mean with its interval beside: what a table's ± is made of."""

from matplotlib.axes import Axes

from bench.errors import NotApplicable
from bench.reporting.drawing import style
from bench.reporting.figures.figure_data import (
    PANELS,
    CaptionedFigure,
    FigureData,
    FigureVariant,
    axis_title,
)
from bench.reporting.tables.table import Column

MOST, ACROSS = 30, 3


def draw(data: FigureData) -> CaptionedFigure:
    """Return one panel per metric, with one row per variant."""
    columns = [c for c in data.columns(data.metrics) if data.metrics or c.kind == "measured"]
    shown, notes = data.limit_variants(data.variants, MOST)
    columns = [column for column in columns if any(data.interval(column, v) for v in shown)]
    if not columns:
        raise NotApplicable("nothing was measured")
    height = 0.155 * len(shown) + 0.55
    most = min(PANELS, ACROSS * max(1, int(style.TALLEST / height)))
    panels, left_out = data.limit_panels([(column.metric, column) for column in columns], most)
    figure, cells = style.panel_grid(len(panels), height, across=ACROSS, packed=True, sharey=True)
    for column, axes in zip(panels, cells.flat, strict=False):
        _draw_panel(axes, data, column, shown)
    first = cells[0][0]
    first.set_yticks(range(len(shown)), [variant.short_label for variant in shown])
    first.set_ylim(len(shown) - 0.5, -0.5)
    notes += [*left_out, "Small: single runs; large: their mean with its 95 % t interval."]
    if any(data.real_value(column) is not None for column in panels):
        notes.append("Dashed: the real test images.")
    notes += [f"Protocol: {c.quantity.title} by {c.protocol}." for c in panels]
    return CaptionedFigure(figure, notes)


def _draw_panel(axes: Axes, data: FigureData, column: Column, shown: list[FigureVariant]) -> None:
    for row, variant in enumerate(shown):
        values = data.values(column, variant.runs)
        interval = data.interval(column, variant)
        if interval is None:
            axes.annotate(
                "no value", (0.5, row), xycoords=("axes fraction", "data"), ha="center",
                va="center", fontsize=style.SMALL, color=style.REAL_COLOR,
            )  # fmt: skip
            continue
        ink = style.color(variant.index)
        axes.plot(values, [row + 0.18] * len(values), "o", color=ink, ms=2.2, mew=0, alpha=0.7)
        axes.errorbar(
            interval.mean, row - 0.12, xerr=interval.half_width(), fmt=style.marker(variant.index),
            color=ink, ms=4, elinewidth=1, capsize=0,
        )  # fmt: skip
    real = data.real_value(column)
    if real is not None:
        axes.axvline(real, color=style.REAL_COLOR, lw=0.8, ls=(0, (4, 2)), zorder=0)
    axes.set_title(style.wrap_title(axis_title(column)), fontsize=style.NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", lw=0.5, zorder=-1)
