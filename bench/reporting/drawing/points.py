"""Generated points over real ones; those of space are projected onto the plane."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.record.files import write_atomically
from bench.record.pictures import Array
from bench.reporting.drawing import style


def save_point_cloud(generated: Array, labels: Array, real: Array, path: Path) -> None:
    """Save generated points `[N, D]` and their labels as PNG, drawn over real ones `[M, D]`."""
    generated, real = projected(generated), projected(real)
    with style.styled():
        corners = window(real if len(real) else generated)
        wide, tall = corners[1] - corners[0]
        height = min(style.TALLEST, max(2.0, style.DOUBLE * tall / wide)) + 0.5
        figure = Figure(figsize=(style.DOUBLE, height), layout="constrained")
        axes = figure.add_subplot()
        if outside := draw_points(axes, generated, labels, real, corners):
            axes.set_title(f"{outside} of {len(generated)} generated points lie outside")
        for label in np.unique(labels).astype(int):
            axes.plot([], [], label=f"class {label}, generated", **style.dots(label, 4))
        if len(real):
            axes.plot([], [], label="real", **style.dots(None, 4))
        figure.legend(loc="outside lower center", ncols=4)
        write_atomically(
            path, style.render_figure(figure, "png", "Generated points over real ones", "")
        )


def projected(points: Array) -> Array:
    """Return points `[..., 2]` as they are, and points `[..., 3]` in an oblique projection.

    The first coordinate goes right and the third up, both at full length; the second goes away
    from the viewer, to the upper right at an angle of 30 degrees, half as long.

    >>> projected(np.array([[1.0, 2.0, 3.0]])).round(2).tolist()
    [[1.87, 3.5]]
    """
    if points.shape[-1] == 2:
        return points
    right, away, up = np.moveaxis(points, -1, 0)
    return np.stack((right + away / 2 * np.sqrt(0.75), up + away / 4), axis=-1)


def window(points: Array) -> tuple[Array, Array]:
    """Return the corners of a picture of these points without the outermost half percent."""
    low, high = np.quantile(points, [0.0025, 0.9975], axis=0)
    edge = 0.12 * (high - low).max() + 1e-9
    return low - edge, high + edge


def draw_points(
    axes: Axes,
    generated: Array,
    labels: Array,
    real: Array,
    corners: tuple[Array, Array],
    size: float = 1.6,
) -> int:
    """Draw generated points over real ones; return how many lie outside the corners of `window`."""
    low, high = corners
    axes.plot(*real.T, **style.dots(None, 1.5 * size))
    for label in np.unique(labels).astype(int):
        axes.plot(*generated[labels == label].T, **style.dots(label, size))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return int(((generated < low) | (generated > high)).any(axis=1).sum())
