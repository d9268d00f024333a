"""The style of figures: sizes of a paper, colors that the color-blind can tell apart, and no dates.

Colors are those of Okabe & Ito (2008), without yellow, which is too pale for lines on white. No
meaning hangs on color alone: lines differ in dashes too, points in shape.
"""

import io
import math
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextPath
from matplotlib.ticker import NullFormatter

SINGLE, DOUBLE = 3.3, 6.9
"""Width of one column and of a page, in inches."""

TALLEST = 9.0  # height of a page, in inches

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
REAL_COLOR = "#767676"
PALE = "#C8C8C8"

PNG_DPI = 300  # as in `paper.mplstyle`

SMALL, NORMAL, LARGE = 6.5, 7.0, 8.0
"""Sizes of text, in points; `paper.mplstyle` has them too."""


def styled() -> AbstractContextManager[None]:
    """Draw in this style for a while, whatever the user's own settings are."""
    return matplotlib.style.context(f"{__package__}.paper", after_reset=True)


def color(index: int) -> str:
    """Return the color of the variant or class with that index."""
    return COLORS[index % len(COLORS)]


def marker(index: int) -> str:
    """Return the marker of the variant or class with that index.

    No two of 56 have color and marker in common.
    """
    return MARKERS[(index + index // len(COLORS) // len(MARKERS)) % len(MARKERS)]


def dashes(index: int) -> str | tuple[int, tuple[float, ...]]:
    """Return the dash pattern of the variant or class with that index."""
    return DASHES[index % len(DASHES)]


def distinct_places(indices: Sequence[int]) -> list[int]:
    """Return indices for variants that are drawn together, with a color twice only if it must be.

    The first of a color keeps its index; the others have that of a color which nobody has.

    >>> distinct_places([0, 4, 11])
    [0, 4, 1]
    """
    firsts = {index % len(COLORS): index for index in sorted(indices, reverse=True)}
    free = (place for place in range(len(COLORS)) if place not in firsts)
    return [i if firsts[i % len(COLORS)] == i else next(free, i) for i in indices]


def dots(index: int | None, size: float) -> dict[str, Any]:
    """Return how the points of a class look, or real points where the index is None."""
    look = ("o", PALE) if index is None else (marker(index), color(index))
    return {"ls": "", "marker": look[0], "color": look[1], "ms": size, "mew": 0}


def wrap_title(title: str) -> str:
    """Return a title in lines that are not wider than one of three panels."""
    return textwrap.fill(title, 32)


def text_inches(text: str, size: float) -> float:
    """Return the width of a string of that size in the figures' font, in inches."""
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72 if text else 0.0


def panel_grid(
    count: int,
    height: float,
    extra: float = 0.0,
    across: int = 3,
    *,
    packed: bool = False,
    sharey: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Return a figure with the axes of `count` panels, `height` inches high.

    It is as wide as a page, or a column of it for a single panel. `extra` inches are left for a
    legend, and there is little room between `packed` panels.
    """
    across = min(across, count)
    rows = -(-count // across)
    pad = 0.03 if packed else None
    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad)
    width = DOUBLE if count > 1 else SINGLE
    figure = Figure(figsize=(width, rows * height + extra), layout=layout)
    cells: np.ndarray = figure.subplots(rows, across, squeeze=False, sharey=sharey)
    for axes in cells.flat[count:]:
        axes.set_axis_off()
    return figure, cells


def label_columns(cells: np.ndarray, count: int, label: str) -> None:
    """Write a label below the lowest of the `count` panels in each column of a grid."""
    for axes in cells.flat[:count][-cells.shape[1] :]:
        axes.set_xlabel(label)


def legend_below(labels: Sequence[str], panels: int, most: int = 4) -> tuple[int, float]:
    """Return how many columns a legend below some panels may have, and its height in inches."""
    wide = max(text_inches(label, NORMAL) for label in labels) + 0.6  # with its handle
    columns = max(1, min(most, int((DOUBLE if panels > 1 else SINGLE) / wide)))
    return columns, 0.16 * -(-len(labels) // columns) + 0.1


def scale_axis(axes: Axes, name: Literal["x", "y"], values: Sequence[float], ratio: float) -> None:
    """Make an axis logarithmic where the largest value is more than `ratio` times the smallest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low > 0 and math.isfinite(high) and high / low > ratio:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_formatter("{x:g}")  # powers of ten would be mathematical text
        axis.set_minor_formatter(NullFormatter())


def render_figure(figure: Figure, form: str, title: str, command: str) -> bytes:
    """Return a figure as the same bytes every time, `pdf` or `png`, which name the command."""
    metadata = {
        "pdf": {"Title": title, "Subject": command, "CreationDate": None},
        "png": {"Title": title, "Description": command, "Software": None},
    }
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=form, metadata=metadata[form])
    return buffer.getvalue()
