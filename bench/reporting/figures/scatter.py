"""One measurement against another: a point a variant, with intervals and its name beside it.

The points of a grid, variants that differ in one value alone, are joined by a line.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NotApplicable
from bench.record.pictures import Array
from bench.reporting.drawing import style
from bench.reporting.drawing.labels import Label, place_labels
from bench.reporting.drawing.panels import fit
from bench.reporting.figures.figure_data import (
    LONGEST_NAME,
    CaptionedFigure,
    FigureData,
    FigureVariant,
    axis_title,
)
from bench.reporting.statistics import Estimate, estimate
from bench.reporting.tables.contents import letters

MOST = 24

COLUMN = 16
"""Names that may find a place in a figure of one column of the page; more are not tried there."""

SIZES = (
    *((style.SINGLE, height) for height in (2.6, 3.6)),
    *((style.DOUBLE, height) for height in (3.6, 5.0, 7.0)),
)
"""Width and height of the figure, in inches: the first in which all names find a place."""

WIDE_RANGE = 30
"""Values whose largest is this many times the smallest are drawn on a logarithmic axis."""

GRID_POINT = re.compile(
    r"(?P<before>.+), (?P<key>[\w.]+)=(?P<value>[^,=]+?)(?P<after>(, .+| \([^()]+\))?)"
)
"""A name of a variant of a grid, as `bench.spec.sweep_file` makes it; of several keys the last."""


class ScatterAxis(NamedTuple):
    """What an axis shows: its title, the value of each variant and of the real images.

    `protocols` says how it was measured, where it was; names of variants with another protocol than
    the first have a mark, as ` [b]`.
    """

    title: str
    interval: Callable[[FigureVariant], Estimate | None]
    real: float | None = None
    protocols: str = ""
    mark: Callable[[FigureVariant], str] = lambda variant: ""

    @property
    def name(self) -> str:
        """What is shown, without the unit and the direction that is better."""
        return re.sub(r"( \([^()]+\)| [↑↓])*$", "", self.title)


class _Line(NamedTuple):
    """The variants of a grid that differ in the value of one key alone."""

    name: str
    key: str


class _Point(NamedTuple):
    label: str
    x: Estimate
    y: Estimate
    marker: str
    color: str
    size: int = 5
    line: _Line | None = None


def metric_axis(data: FigureData, metric: str) -> ScatterAxis:
    """Return the axis of a metric, with each variant by the first protocol that it has."""
    columns = data.columns([metric])

    def first(variant: FigureVariant) -> Estimate | None:
        found = (data.interval(column, variant) for column in columns)
        return next(filter(None, found), None)

    title = axis_title(columns[0]).replace(" [a]", "", len(columns) > 1)
    parts: list[str] = []
    unused, rest = [], set(data.variants)
    marks: dict[FigureVariant, str] = {}
    known = letters()
    for column in columns:
        measured = {variant for variant in data.variants if data.interval(column, variant)}
        having = measured & rest
        if measured and not having:
            unused.append(column.protocol)
        models = ", ".join(sorted({variant.runs[0].model for variant in having}))
        if having:
            letter = next(known)
            mark = f" [{letter}]" if parts else ""
            marks |= dict.fromkeys(having, mark)
            by = f"{mark} {column.protocol}".strip()
            parts.append(f"{by} ({models})" if len(columns) > 1 else by)
        rest -= having
    protocols = f"{metric} by {'; '.join(parts)}" if any(parts) else ""
    if len(parts) > 1:
        protocols += ", which must not be compared"
    if unused:
        protocols += f" (not shown: by {'; '.join(unused)})"
    real = data.real_value(columns[0])
    return ScatterAxis(title, first, real, protocols, lambda variant: marks.get(variant, ""))


def scatter(data: FigureData, x: ScatterAxis, y: ScatterAxis) -> CaptionedFigure:
    """Return a figure with a point for each variant that has `x` and `y`.

    The real images are a point, where both of their values are known.
    """
    lines = _lines(data.variants)
    last_of = {line: variant for variant, line in lines.items()}  # the last one of each line
    firsts = [v for v in data.variants if v not in lines or last_of[lines[v]] == v]
    shown, notes = data.limit_variants(firsts, MOST)
    kept = {lines.get(variant, variant) for variant in shown}
    grid = _lines(data.all_variants)
    ranks: dict[_Line | FigureVariant, int] = {}  # a line has one look, whatever was chosen
    for variant in data.all_variants:
        ranks.setdefault(grid.get(variant, variant), len(ranks))
    points, lacking = [], []
    for variant in data.variants:
        line = lines.get(variant)
        if (line or variant) not in kept:
            continue
        mean_x, mean_y = x.interval(variant), y.interval(variant)
        if mean_x is None or mean_y is None:
            lacking.append(line.name if line else variant.label)
            continue
        rank = ranks[grid.get(variant, variant)]
        look = style.marker(rank), style.color(rank)
        name = fit(line.name if line else variant.label, LONGEST_NAME)[0]
        name += x.mark(variant) or y.mark(variant)
        points.append(_Point(name, mean_x, mean_y, *look, 5, line))
    ends = {point.line or point: point for point in points}  # of a line the last one is named
    points = [
        point if ends[point.line or point] is point else point._replace(label="")
        for point in points
    ]
    for key in {point.line.key: None for point in points if point.line}:
        values = _values(data.variants, key)
        notes.append(f"Lines join the values of {key}: {', '.join(values)}, the last one named.")
    if lacking:
        without = ", ".join(dict.fromkeys(lacking))
        notes.append(f"Without one of the two measurements: {without}.")
    if not points:
        raise NotApplicable(f"no variant has both {x.name} and {y.name}")
    if x.real is not None and y.real is not None:
        at = estimate([x.real]), estimate([y.real])
        points.append(_Point("real images", *at, "*", style.REAL_COLOR, 8))
    names = [point.label for point in points if point.label]
    for size in SIZES if len(names) <= COLUMN else SIZES[2:]:
        figure, unplaced = _draw(points, x.title, y.title, size)
        if not unplaced:
            break
    else:
        notes.append(f"Names without a place: {', '.join(unplaced)}; --variant NAME chooses.")
    return CaptionedFigure(figure, notes, f"{y.name} against {x.name}")


def _draw(
    points: Sequence[_Point], x: str, y: str, size: tuple[float, float]
) -> tuple[Figure, list[str]]:
    """Return a figure of that size, and the names that found no place in it."""
    # Names are placed at the resolution of the PNG, since text is not as wide in another.
    figure = Figure(figsize=size, layout="constrained", dpi=style.PNG_DPI)
    axes = figure.add_subplot()
    for rank, point in enumerate(points):  # the first rows lie on top
        axes.errorbar(
            point.x.mean, point.y.mean, xerr=point.x.half_width(), yerr=point.y.half_width(),
            fmt=point.marker, color=point.color, ms=point.size, mec="white", mew=0.4,
            elinewidth=0.7, capsize=0, zorder=4 - rank / len(points),
        )  # fmt: skip
    joined: dict[_Line, list[_Point]] = {}
    for point in points:
        if point.line:
            joined.setdefault(point.line, []).append(point)
    paths = [np.array([(p.x.mean, p.y.mean) for p in of_line]) for of_line in joined.values()]
    for of_line, path in zip(joined.values(), paths, strict=True):
        axes.plot(*path.T, color=of_line[0].color, lw=0.9, zorder=2)
    axes.set(xlabel=x, ylabel=y)
    style.scale_axis(axes, "x", [point.x.mean for point in points], WIDE_RANGE)
    style.scale_axis(axes, "y", [point.y.mean for point in points], WIDE_RANGE)
    axes.margins(0.12)
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # leaders would widen them
    figure.draw_without_rendering()  # fixes where the points are
    figure.set_layout_engine("none")
    bars = [bar for point in points for bar in _bars(axes, point)]
    labels = [Label(p.label, p.x.mean, p.y.mean, 0.5 * p.size + 0.5, p.color) for p in points]
    return figure, place_labels(axes, labels, [*bars, *paths])


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


def _bars(axes: Axes, point: _Point) -> list[Array]:
    """Return the ends of the error bars of a point, inside of the axes."""
    dx, dy = (part.half_width() or 0.0 for part in (point.x, point.y))
    x, y = point.x.mean, point.y.mean
    ends = np.array([[(x - dx, y), (x + dx, y)], [(x, y - dy), (x, y + dy)]])
    corners = np.sort([axes.get_xlim(), axes.get_ylim()])
    return list(np.clip(ends, corners[:, 0], corners[:, 1]))
