"""One measurement against another: a point a variant, with intervals and its name beside it.

The points of a grid, variants that differ in one value alone, are joined by a line.
"""

import re
from collections import Counter
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


GRID_POINT = re.compile(r"(?P<before>.+), (?P<key>[\w.]+)=(?P<value>[^,=]+)(?P<after>(, .+)?)")
"""A name of a variant of a grid, as `bench.spec.sweep_file` makes it; of several keys the last."""


class _Line(NamedTuple):
    """The variants of a grid that differ in the value of one key alone."""

    name: str
    key: str


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
    lines = _lines(data.variants)
    last_of = {line: variant for variant, line in lines.items()}  # the last one of each line
    firsts = [v for v in data.variants if v not in lines or last_of[lines[v]] == v]
    shown, notes = data.limit_variants(firsts, MOST)
    looks = {lines.get(variant, variant): index for index, variant in enumerate(shown)}
    points, lacking, joined = [], [], dict[_Line, list[_Point]]()
    for variant in data.variants:
        line = lines.get(variant)
        if (index := looks.get(line or variant)) is None:
            continue
        mean_x, mean_y = x(variant), y(variant)
        if mean_x is None or mean_y is None:
            lacking.append(line.name if line else variant.label)
            continue
        index = index if lines else variant.index
        label = variant.label if line is None else line.name * (last_of[line] == variant)
        points.append(_Point(label, mean_x, mean_y, style.marker(index), style.color(index)))
        if line is not None:
            joined.setdefault(line, []).append(points[-1])
    for key in {line.key: None for line in joined}:
        values = _values(data.variants, key)
        notes.append(f"Lines join the values of {key}: {', '.join(values)}, the last one named.")
    if lacking:
        names = ", ".join(dict.fromkeys(lacking))
        notes.append(f"Without one of the two measurements: {names}.")
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
    for of_line in joined.values():
        axes.plot(
            [point.x.mean for point in of_line], [point.y.mean for point in of_line],
            color=of_line[0].color, lw=0.9, zorder=2,
        )  # fmt: skip
    axes.set(xlabel=titles[0], ylabel=titles[1])
    style.scale_axis(axes, "x", [point.x.mean for point in points], WIDE_RANGE)
    axes.margins(0.12)
    _label(figure, axes, points)
    return CaptionedFigure(figure, notes)


def _lines(variants: Sequence[FigureVariant]) -> dict[FigureVariant, _Line]:
    """Return the line of each variant that differs from another in one value of a grid alone."""
    found = {}
    for variant in variants:
        if match := GRID_POINT.fullmatch(variant.label):
            found[variant] = _Line(match["before"] + match["after"], match["key"])
    counts = Counter(found.values())
    return {variant: line for variant, line in found.items() if counts[line] > 1}


def _values(variants: Sequence[FigureVariant], key: str) -> list[str]:
    """Return the values that a key of the grid has."""
    matches = filter(None, (GRID_POINT.fullmatch(variant.label) for variant in variants))
    return list(dict.fromkeys(match["value"] for match in matches if match["key"] == key))


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
        if not point.label:  # on a line, whose end is named
            continue
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
