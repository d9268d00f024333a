"""Figure 2: points of each variant over the real ones, over the training where that was kept."""

import textwrap
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NotApplicable
from bench.record.pictures import Array, RecordedSamples, read_snapshots
from bench.record.sweep_folder import RecordedRun
from bench.reporting.drawing import style
from bench.reporting.drawing.points import draw_points, projected, window
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, FigureVariant
from bench.reporting.grouping import evenly_spaced
from bench.spec.reserved_names import VALIDATION

COVERAGE = {
    "arc_coverage": "arc coverage: real test points with a sample of their class within 0.1",
    "point_coverage": "point coverage: real test points with a sample of their class nearby",
}
"""Metrics of coverage with what they are; the first one that was measured is shown."""

MOST, ACROSS, MOST_SNAPSHOTS = 6, 3, 5
"""Variants over the training, panels beside each other, snapshots that are shown."""

SHOWN = 300
"""Points of each class in a panel."""


class _Cell(NamedTuple):
    """A panel: its title, the points `[K, n, D]` where there are any, and their coverage."""

    title: str
    points: Array | None = None
    coverage: float | None = None


def draw(data: FigureData) -> CaptionedFigure:
    """Return the comparison; a row per variant over the training, else a panel per variant."""
    samples = data.samples(images=False)
    if not samples:
        why = "are images, not points" if data.samples(images=True) else "were not kept"
        raise NotApplicable(f"samples of {data.data} {why}")
    points_by_step = {v: _points_by_step(v.run, final) for v, final in samples.items() if v.run}
    over_time = any(len(of_variant) > 1 for of_variant in points_by_step.values())
    shown, notes = data.limit_variants(list(samples), MOST if over_time else 4 * ACROSS - 1)
    first = next(iter(samples.values()))
    real = _flat(data.real.x) if data.real else np.empty((0, 2), dtype=np.float32)
    if over_time:
        labels = [variant.label for variant in shown]
        across = max(len(points_by_step[v]) for v in shown)
        lines = [
            [
                _Cell(f"iteration {step:,}".replace(",", " "), x, _coverage(data, v.run, step))
                for step, x in points_by_step[v].items()
            ]
            for v in shown
        ]
    else:
        labels, across = [], ACROSS
        cells = [_Cell("real test points")] if len(real) else []
        cells += [_Cell(v.label, samples[v].x, _coverage(data, v.run)) for v in shown]
        lines = [cells[start : start + ACROSS] for start in range(0, len(cells), ACROSS)]
        notes.append(
            "Samples at the end of the training; with `snapshots: 5` in the base of the sweep the "
            "figure shows them on the way, too."
        )
    seen = real if len(real) else np.concatenate([_flat(s.x) for s in samples.values()])
    figure = _draw_lines(lines, across, labels, first.names, real, window(seen))
    gray = "Gray: real test points. " if len(real) else ""
    notes += [
        f"{gray}Each panel shows {min(SHOWN, first.x.shape[1])} generated points of each class.",
        f"The percentage is {COVERAGE[_metric(data)]}, of all samples of this run."
        + _over_seeds(data, shown),
        data.whose(shown),
    ]
    if (kept := max(len(read_snapshots(v.run.path)) for v in shown if v.run)) >= MOST_SNAPSHOTS:
        notes.append(f"{MOST_SNAPSHOTS} moments of at most {kept + 1} that were kept.")
    if first.x.shape[-1] > 2:
        notes.insert(0, "Points of space are drawn in an oblique projection.")
    return CaptionedFigure(figure, notes)


def _flat(points: Array) -> Array:
    """Return points `[K, n, D]` as they are drawn, `[K * n, 2]`."""
    return projected(points).reshape(-1, 2)


def _points_by_step(run: RecordedRun, final: RecordedSamples) -> dict[int, Array]:
    """Return the points of a run by step, of at most `MOST_SNAPSHOTS` snapshots."""
    samples = read_snapshots(run.path) | {run.iterations or 0: final}
    steps = sorted(samples)
    kept = [steps[index] for index in evenly_spaced(len(steps), MOST_SNAPSHOTS)]
    return {step: samples[step].x for step in kept}


def _draw_lines(
    lines: list[list[_Cell]],
    across: int,
    labels: list[str],
    names: tuple[str, ...],
    real: Array,
    corners: tuple[Array, Array],
) -> Figure:
    wide, tall = corners[1] - corners[0]
    height = style.DOUBLE / across * tall / wide + (0.2 if labels else 0.3)
    labeled = [*(["real"] if len(real) else []), *names]
    columns, below = style.legend_below(labeled, across, len(labeled))
    figure, cells = style.panel_grid(len(lines) * across, height, below, across, packed=True)
    for axes in cells.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    above: dict[int, str] = {}
    for line, row in zip(lines, cells, strict=True):
        # Ends of trainings are below each other, so a row over the training is flush right.
        start = across - len(line) if labels else 0
        for column, panel in enumerate(line, start):
            _draw_panel(row[column], panel, real, corners)
            if above.get(column) != panel.title:
                row[column].set_title(panel.title, fontsize=style.NORMAL)
            above[column] = panel.title
    letters = int(height / style.text_inches("n", style.NORMAL))
    for label, row in zip(labels, cells, strict=False):
        row[0].set_ylabel(textwrap.fill(label, letters), fontsize=style.NORMAL)
    if len(real):
        cells[0][0].plot([], [], label="real", **style.dots(None, 4))
    for index, name in enumerate(names):
        cells[0][0].plot([], [], label=name, **style.dots(index, 3.5))
    figure.legend(loc="outside lower center", ncols=columns, handletextpad=0.2)
    return figure


def _draw_panel(axes: Axes, panel: _Cell, real: Array, corners: tuple[Array, Array]) -> None:
    if panel.points is None:
        draw_points(axes, np.empty((0, 2)), np.empty(0), real, corners)
        return
    classes, each = panel.points.shape[:2]
    kept = evenly_spaced(each, SHOWN)
    points = _flat(panel.points[:, kept])
    labels = np.arange(classes).repeat(len(kept))
    outside = draw_points(axes, points, labels, real, corners, size=1.3)
    below = [] if panel.coverage is None else [f"{panel.coverage:.0f} %"]
    below += [f"{outside} outside"] if outside else []
    axes.set_xlabel(", ".join(below), fontsize=style.NORMAL, labelpad=1)


def _metric(data: FigureData) -> str:
    """Return the metric of coverage that is shown."""
    measured = {column.metric for column in data.columns()}
    return next((name for name in COVERAGE if name in measured), "arc_coverage")


def _coverage(data: FigureData, run: RecordedRun | None, step: int | None = None) -> float | None:
    metric = _metric(data)
    values = {
        entry.step: entry.value
        for entry in data.records.measurements
        if entry.run == run and entry.metric == metric and entry.split != VALIDATION
        if entry.value is not None and step in (None, entry.step)
    }
    return values[max(values)] if values else None


def _over_seeds(data: FigureData, shown: list[FigureVariant]) -> str:
    """Return the coverage over all seeds, for the caption."""
    metric = _metric(data)
    columns = [column for column in data.columns() if column.metric == metric]
    parts = [
        f"{variant.label} {interval.mean:.1f} ± {half_width:.1f}"
        for column in columns
        for variant in shown
        if (interval := data.interval(column, variant))
        if (half_width := interval.half_width()) is not None
    ]
    return f" Over seeds, with 95 % t intervals: {', '.join(parts)}." if parts else ""
