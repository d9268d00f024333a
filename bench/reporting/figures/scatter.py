"""One metric against another: a point a variant, with intervals and its name beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench.reporting.figures.style import REAL_COLOR, SINGLE, SMALL, color, marker, text_inches
from bench.reporting.figures.view import Measure
from bench.reporting.statistics import Interval

ARROWS = {"higher": " ↑", "lower": " ↓", "real": " (≈ real)", "one": " (≈ 1)", None: ""}
PLACES = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1),
    (1, 2), (-1, 2), (1, -2), (-1, -2), (0, 2), (0, -2),
)  # fmt: skip
"""Where a label may stand: steps right and up from its point."""

WIDE_RANGE = 30


@dataclass(frozen=True)
class Spot:
    """A point.

    Attributes:
        x: Mean and interval.
        y: Mean and interval.
        label: What stands beside it.
        place: Its color and shape; None for the real images.
    """

    x: Interval
    y: Interval
    label: str
    place: int | None


def scatter(spots: Sequence[Spot], x_label: str, y_label: str) -> Figure:
    """Return the figure.

    Args:
        spots: The points.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.

    Returns:
        A figure of one column.
    """
    high = 2.6 if len(spots) <= 10 else 3.6
    figure = Figure(figsize=(SINGLE, high), layout="constrained")
    axes = figure.add_subplot()
    for spot in spots:
        ink = REAL_COLOR if spot.place is None else color(spot.place)
        shape = "*" if spot.place is None else marker(spot.place)
        axes.errorbar(
            spot.x.mean, spot.y.mean, xerr=spot.x.half_width, yerr=spot.y.half_width, fmt=shape,
            color=ink, ms=8 if spot.place is None else 5, elinewidth=0.7, capsize=0, zorder=3,
        )  # fmt: skip
    axes.set(xlabel=x_label, ylabel=y_label)
    means = [spot.x.mean for spot in spots]
    if min(means) > 0 and max(means) / min(means) > WIDE_RANGE:
        axes.set_xscale("log")
    axes.margins(0.12)
    _label(figure, axes, spots)
    return figure


def _label(figure: Figure, axes: Axes, spots: Sequence[Spot]) -> None:
    """Put each name where it covers least: no point, no other name, nothing outside."""
    figure.draw_without_rendering()  # fixes where the points are
    figure.set_layout_engine("none")
    frame = axes.get_window_extent()
    scale = figure.dpi / 72
    centers = axes.transData.transform([(spot.x.mean, spot.y.mean) for spot in spots])
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in centers]
    bars = [_bars(axes, spot) for spot in spots]
    for spot, (x, y) in zip(spots, centers, strict=True):
        wide, high = text_inches(spot.label, SMALL) * figure.dpi, 1.15 * SMALL * scale
        tried: list[tuple[float, Bbox]] = []
        for cost, (right, up) in enumerate(PLACES):
            left = (
                x + 6 * scale if right > 0 else x - 6 * scale - wide if right < 0 else x - wide / 2
            )
            bottom = y + up * 8 * scale - high / 2
            box = Bbox.from_extents(left, bottom, left + wide, bottom + high)
            covered = sum(_overlap(box, other) for other in taken)
            covered += 2 * sum(_overlap(box, bar) for some in bars for bar in some)
            outside = wide * high - _overlap(box, frame)
            price = covered + 3 * outside + cost
            tried.append((price, box))
        _, box = min(tried, key=lambda one: one[0])
        taken.append(box)
        right, up = axes.transData.inverted().transform((box.x0, (box.y0 + box.y1) / 2))
        axes.annotate(spot.label, (right, up), fontsize=SMALL, va="center", ha="left", zorder=4)


def _bars(axes: Axes, spot: Spot) -> list[Bbox]:
    """Return the places of the error bars of a point, in pixels."""
    dx, dy = (part.half_width or 0.0 for part in (spot.x, spot.y))
    x, y = spot.x.mean, spot.y.mean
    ends = axes.transData.transform([(x - dx, y), (x + dx, y), (x, y - dy), (x, y + dy)])
    across, along = Bbox(ends[:2]), Bbox(ends[2:])
    return [Bbox(b.padded(1)) for b in (across, along)]


def _overlap(a: Bbox, b: Bbox) -> float:
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    high = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(wide * high) if wide > 0 and high > 0 else 0.0


def titled(measure: Measure) -> str:
    """Return a metric with the direction that is better."""
    return measure.title + ARROWS[measure.direction]
