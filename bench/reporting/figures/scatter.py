"""One measurement against another: a point a variant, with intervals and its name beside it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench.errors import NotApplicable
from bench.reporting.figures import style
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, FigureVariant
from bench.reporting.statistics import Interval

MOST = 24

PLACES = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1),
    (1, 2), (-1, 2), (1, -2), (-1, -2), (0, 2), (0, -2),
)  # fmt: skip
"""Where a label may be placed: steps right and up from its point."""

WIDE_RANGE = 30
"""Values of `x` whose largest is this many times the smallest are drawn on a logarithmic axis."""


class _Point(NamedTuple):
    label: str
    x: Interval
    y: Interval
    marker: str
    color: str
    size: int = 5


def scatter(
    data: FigureData,
    x: Callable[[FigureVariant], Interval | None],
    y: Callable[[FigureVariant], Interval | None],
    titles: tuple[str, str],
    real: tuple[float | None, float | None] = (None, None),
) -> CaptionedFigure:
    """Return a figure of one column with a point for each variant that has `x` and `y`.

    `real` is the point of the real images, where both of its values are known.
    """
    shown, notes = data.limit_variants(data.variants, MOST)
    points, lacking = [], []
    for variant in shown:
        mean_x, mean_y = x(variant), y(variant)
        if mean_x is None or mean_y is None:
            lacking.append(variant.label)
            continue
        look = style.marker(variant.index), style.color(variant.index)
        points.append(_Point(variant.label, mean_x, mean_y, *look))
    if lacking:
        notes.append(f"Without one of the two measurements: {', '.join(lacking)}.")
    if not points:
        raise NotApplicable("no variant has both measurements")
    if real[0] is not None and real[1] is not None:
        ends = Interval(real[0], None, 1), Interval(real[1], None, 1)
        points.append(_Point("real images", *ends, "*", style.REAL_COLOR, 8))
    figure = Figure(figsize=(style.SINGLE, 2.6 if len(points) <= 10 else 3.6), layout="constrained")
    axes = figure.add_subplot()
    for point in points:
        axes.errorbar(
            point.x.mean, point.y.mean, xerr=point.x.half_width, yerr=point.y.half_width,
            fmt=point.marker, color=point.color, ms=point.size, elinewidth=0.7, capsize=0, zorder=3,
        )  # fmt: skip
    axes.set(xlabel=titles[0], ylabel=titles[1])
    style.scale_axis(axes, "x", [point.x.mean for point in points], WIDE_RANGE)
    axes.margins(0.12)
    _label(figure, axes, points)
    return CaptionedFigure(figure, notes)


def _label(figure: Figure, axes: Axes, points: Sequence[_Point]) -> None:
    """Put each label where it covers least: no point, no other label, nothing outside."""
    figure.draw_without_rendering()  # fixes where the points are
    figure.set_layout_engine("none")
    frame = axes.get_window_extent()
    scale = figure.dpi / 72
    centers = axes.transData.transform([(point.x.mean, point.y.mean) for point in points])
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in centers]
    bars = [bar for point in points for bar in _bars(axes, point)]
    high = 1.15 * style.SMALL * scale
    for point, (x, y) in zip(points, centers, strict=True):
        wide = style.text_inches(point.label, style.SMALL) * figure.dpi
        boxes = []
        for rank, (right, up) in enumerate(PLACES):
            left = x - wide / 2 + right * (6 * scale + wide / 2)
            box = Bbox.from_bounds(left, y + up * 8 * scale - high / 2, wide, high)
            covered = sum(_overlap(box, other) for other in taken)
            covered += 2 * sum(_overlap(box, bar) for bar in bars)
            outside = wide * high - _overlap(box, frame)
            boxes.append((covered + 3 * outside + rank, box))
        _, box = min(boxes, key=lambda priced: priced[0])
        taken.append(box)
        x, y = axes.transData.inverted().transform((box.x0, (box.y0 + box.y1) / 2))
        axes.annotate(point.label, (x, y), fontsize=style.SMALL, va="center", ha="left", zorder=4)


def _bars(axes: Axes, point: _Point) -> list[Bbox]:
    """Return where the error bars of a point are, in pixels."""
    dx, dy = (part.half_width or 0.0 for part in (point.x, point.y))
    x, y = point.x.mean, point.y.mean
    ends = axes.transData.transform([(x - dx, y), (x + dx, y), (x, y - dy), (x, y + dy)])
    return [Bbox(ends[:2]).padded(1), Bbox(ends[2:]).padded(1)]


def _overlap(a: Bbox, b: Bbox) -> float:
    common = Bbox.intersection(a, b)
    return float(common.width * common.height) if common else 0.0
