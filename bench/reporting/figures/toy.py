"""Figure 2: points of each variant over the real ones, over the training where that was kept."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NotApplicable
from bench.record.pictures import Samples, read_snapshots
from bench.reporting.figures.points import draw_points, window
from bench.reporting.figures.style import (
    DOUBLE,
    NORMAL,
    PALE,
    REAL_COLOR,
    SMALL,
    color,
    marker,
    packed,
)  # fmt: skip
from bench.reporting.figures.view import Drawn, Variant, View
from bench.spec.reserved_names import VALIDATION

COVERAGE = "arc_coverage"
MOST, ACROSS, MOMENTS = 6, 3, 5
"""Variants over the training, panels beside each other, moments of the training that are shown."""

SHOWN = 300
"""Points of each class in a panel."""

Array = np.ndarray[Any, np.dtype[Any]]


def draw(view: View) -> Drawn:
    """Return the comparison; a row a variant over the training, else a panel a variant."""
    held = [(v, samples) for v in view.variants if (samples := view.samples(v))]
    held = [(v, samples) for v, samples in held if not samples.are_images]
    if not held:
        raise NotApplicable(f"samples of {view.data} are images, not points of the plane")
    moments = {variant: _moments(view, variant, final) for variant, final in held}
    over_time = any(len(found) > 1 for found in moments.values())
    shown, notes = view.fitting([v for v, _ in held], MOST if over_time else 4 * ACROSS - 1)
    real = view.real.x.reshape(-1, 2) if view.real else np.empty((0, 2), dtype=np.float32)
    seen = real if len(real) else np.concatenate([s.x.reshape(-1, 2) for _, s in held])
    corners = window(seen)
    if over_time:
        figure = _over_time(view, shown, moments, real, corners)
    else:
        figure = _at_the_end(view, shown, dict(held), real, corners)
        notes.append(
            "Samples at the end of the training; with `snapshots: 5` in the base of the sweep the "
            "figure shows them on the way, too."
        )
    per_class = min(SHOWN, held[0][1].x.shape[1])
    gray = "Gray: real test points. " if len(real) else ""
    notes += [
        f"{gray}Each panel shows {per_class} generated points of each class.",
        "The percentage is arc coverage: real test points with a sample of their class within "
        "0.1, of all samples of this run." + _over_seeds(view, shown),
        view.whose(shown),
    ]
    return Drawn(figure, tuple(notes))


def _moments(view: View, variant: Variant, final: Samples) -> dict[int, Samples]:
    """Return the samples of a variant over its training, at most so many, the last ones last."""
    run = view.run_of(variant)
    assert run is not None
    found = read_snapshots(run.path) | {run.iterations or 0: final}
    steps = sorted(found)
    places = np.linspace(0, len(steps) - 1, min(MOMENTS, len(steps))).round().astype(int)
    return {steps[place]: found[steps[place]] for place in places}


def _over_time(
    view: View,
    shown: list[Variant],
    moments: dict[Variant, dict[int, Samples]],
    real: Array,
    corners: tuple[Array, Array],
) -> Figure:
    """Return a row for each variant and a column for each moment."""
    across = max(len(moments[variant]) for variant in shown)
    figure, cells = _grid(len(shown), across, corners)
    for row, variant in enumerate(shown):
        for place in range(across):
            axes = cells[row][place]
            found = list(moments[variant].items())
            if place >= len(found):
                axes.set_axis_off()
                continue
            step, samples = found[place]
            _panel(axes, samples, real, corners)
            axes.set_title(f"iteration {step:,}".replace(",", " "), fontsize=NORMAL)
            _say_coverage(axes, _coverage(view, variant, step))
        cells[row][0].set_ylabel(variant.label, fontsize=NORMAL)
    names = next(iter(moments[shown[0]].values())).names
    _legend(figure, cells[0][0], names, real)
    return figure


def _at_the_end(
    view: View,
    shown: list[Variant],
    held: dict[Variant, Samples],
    real: Array,
    corners: tuple[Array, Array],
) -> Figure:
    """Return a panel for each variant, the real points first."""
    rows = -(-(len(shown) + bool(len(real))) // ACROSS)
    figure, cells = _grid(rows, ACROSS, corners)
    flat = [axes for line in cells for axes in line]
    first, names = flat[0], next(iter(held.values())).names
    if len(real):
        draw_points(first, np.empty((0, 2)), np.empty(0), real, corners)
        first.set_title("real test points", fontsize=NORMAL)
        flat = flat[1:]
    for variant, axes in zip(shown, flat, strict=False):
        _panel(axes, held[variant], real, corners)
        axes.set_title(variant.label, fontsize=NORMAL)
        _say_coverage(axes, _coverage(view, variant, None))
    for axes in flat[len(shown) :]:
        axes.set_axis_off()
    _legend(figure, first, names, real)
    return figure


def _grid(rows: int, across: int, corners: tuple[Array, Array]) -> tuple[Figure, Any]:
    low, high = corners
    wide, tall = high - low
    panel = DOUBLE / across
    figure = Figure(figsize=(DOUBLE, rows * (panel * tall / wide + 0.24) + 0.22), layout=packed())
    cells = figure.subplots(rows, across, squeeze=False)
    for axes in cells.flat:
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure, cells


def _legend(figure: Figure, axes: Axes, names: tuple[str, ...], real: Array) -> None:
    """Say below which class has which color and shape."""
    if len(real):
        axes.plot([], [], "o", color=PALE, ms=4, mew=0, label="real")
    for place, name in enumerate(names):
        axes.plot([], [], marker(place), color=color(place), ms=3.5, mew=0, label=name)
    figure.legend(loc="outside lower center", ncols=len(names) + 1, handletextpad=0.2)


def _panel(axes: Axes, samples: Samples, real: Array, corners: tuple[Array, Array]) -> None:
    x = samples.x
    rows = np.linspace(0, x.shape[1] - 1, min(SHOWN, x.shape[1])).round().astype(int)
    points = x[:, rows]
    labels = np.arange(len(x)).repeat(len(rows))
    outside = draw_points(axes, points.reshape(-1, 2), labels, real, corners, size=1.3)
    if outside:
        axes.annotate(
            f"{outside} outside", (1, 0), xycoords="axes fraction", ha="right", va="bottom",
            fontsize=SMALL, color=REAL_COLOR,
        )  # fmt: skip


def _say_coverage(axes: Axes, value: float | None) -> None:
    if value is not None:
        axes.annotate(
            f"{value:.0f} %", (0.5, 0.02), xycoords="axes fraction", ha="center", va="bottom",
            fontsize=NORMAL, fontweight="bold",
        )  # fmt: skip


def _coverage(view: View, variant: Variant, step: int | None) -> float | None:
    """Return the coverage of the run that is shown, at a moment, or at the end."""
    run = view.run_of(variant)
    at = [
        entry
        for entry in view.records.measurements
        if entry.run == run and entry.metric == COVERAGE and entry.split != VALIDATION
        if entry.value is not None and step in (None, entry.step)
    ]
    return max(at, key=lambda entry: entry.step).value if at else None


def _over_seeds(view: View, shown: list[Variant]) -> str:
    """Return the coverage over all seeds, for the caption."""
    parts = []
    for measure in view.measures():
        if measure.metric != COVERAGE:
            continue
        for variant in shown:
            found = view.interval(measure, variant)
            if found and found.half_width is not None:
                parts.append(f"{variant.label} {found.mean:.1f} ± {found.half_width:.1f}")
    return f" Over seeds, with 95 % t intervals: {', '.join(parts)}." if parts else ""
