"""Points of the plane, generated over real ones."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.record.files import write_atomically
from bench.reporting.figures.style import DOUBLE, PALE, color, marker, rendered, styled

Points = npt.NDArray[Any]


def save_point_cloud(generated: Points, labels: Points, real: Points, path: Path) -> None:
    """Save generated points of the plane, drawn over the real ones.

    Args:
        generated: `[N, 2]`.
        labels: `[N]`, the labels they were asked for.
        real: `[M, 2]`, drawn pale and below.
        path: A PNG file.
    """
    with styled():
        low, high = window(real if len(real) else generated)
        wide, tall = high - low
        size = (DOUBLE, min(9.0, max(2.0, DOUBLE * tall / wide)) + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        outside = draw_points(axes, generated, labels, real, (low, high))
        if outside:
            axes.set_title(f"{outside} of {len(generated)} generated points lie outside")
        for label in np.unique(labels):
            name, place = f"class {int(label)}, generated", int(label)
            axes.plot([], [], marker(place), color=color(place), ms=4, mew=0, label=name)
        axes.plot([], [], "o", color=PALE, ms=4, mew=0, label="real")
        figure.legend(loc="outside lower center", ncols=4)
        about = {"title": "Generated points over real ones", "command": ""}
        write_atomically(path, rendered(figure, "png", about))


def window(points: Points) -> tuple[Points, Points]:
    """Return the corners of a picture of these points, but for the wildest half percent."""
    low, high = np.quantile(points, [0.0025, 0.9975], axis=0)
    edge = 0.12 * (high - low).max() + 1e-9
    return low - edge, high + edge


def draw_points(
    axes: Axes,
    generated: Points,
    labels: Points,
    real: Points,
    corners: tuple[Points, Points],
    size: float = 1.6,
) -> int:
    """Draw generated points over real ones.

    Args:
        axes: Where to.
        generated: `[N, 2]`; none where there is nothing to draw over the real ones.
        labels: `[N]`.
        real: `[M, 2]`.
        corners: What is shown, as `window` returns it.
        size: Of a generated point, in points.

    Returns:
        How many generated points lie outside.
    """
    low, high = corners
    axes.plot(real[:, 0], real[:, 1], "o", color=PALE, ms=1.5 * size, mew=0)
    for label in np.unique(labels):
        mine = generated[labels == label]
        place = int(label)
        axes.plot(mine[:, 0], mine[:, 1], marker(place), color=color(place), ms=size, mew=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return int(((generated < low) | (generated > high)).any(axis=1).sum())
