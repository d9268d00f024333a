"""Figures of images: panels whose images all have the same size, laid out in inches."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.figure import Figure

from bench.record.pictures import Array
from bench.reporting.drawing.images import enlarge, starts, tile
from bench.reporting.drawing.style import (
    DOUBLE,
    LARGE,
    NORMAL,
    SINGLE,
    SMALL,
    TALLEST,
    text_inches,
)

SHARP = 96
"""An image is enlarged to at least this side in pixels, so that no program smooths it."""

GAP = 1 / 12
"""White between images, as a share of their side."""

SPACE, LINE, MARGIN = 0.14, 0.15, 0.02
"""White between panels, height of a line of text, and white around all, in inches."""

LARGEST = 0.32
"""Side of an image at most, in inches."""

LARGEST_ALONE = 0.4
"""Side of an image at most where one column of the page holds all panels."""


SMALLEST, WIDEST_LABEL = 0.08, 1.6
"""Side of an image at least, and room for the label of a row at most, in inches."""


@dataclass(frozen=True)
class Panel:
    """Images `uint8` `[R, S, H, W, C]` with a title and labels of rows and columns.

    Attributes:
        heading: What is above the title, and may be as long as the line of panels is wide.
        head: Whether the first row and the first column are set apart.
        reason: Why there are no images; `images` then only says how large the panel would be.
    """

    images: Array
    title: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    heading: str = ""
    head: bool = False
    reason: str = ""

    def centers(self, axis: int) -> list[float]:
        """Return the middles of the rows (axis 0) or columns (axis 1), in sides of an image."""
        count, size = self.images.shape[axis], self._size(axis)
        return [start + size / 2 for start in starts(count, size, GAP, head=self.head)]

    def extent(self, axis: int) -> float:
        """Return the height (axis 0) or width (axis 1), in sides of an image."""
        return self.centers(axis)[-1] + self._size(axis) / 2

    def _size(self, axis: int) -> float:
        return float(self.images.shape[2 + axis] / max(self.images.shape[2:4]))

    @property
    def left(self) -> float:
        """The room for the labels of the rows, in inches."""
        longest = max((text_inches(name, NORMAL) for name in self.rows), default=0.0)
        return min(longest, WIDEST_LABEL) + 0.08 if longest else 0.0

    @property
    def above(self) -> float:
        """The room for the title and the labels of the columns, in inches."""
        lines = (self.heading, self.title, self.columns)
        return LINE * sum(map(bool, lines)) + 0.04 * bool(self.heading) + 0.02


def lay_out(lines: Sequence[Sequence[Panel]], width: float = DOUBLE) -> Figure:
    """Return a figure of panels, line by line, so that all fit `width` inches and a page's height.

    Layouts of matplotlib fit axes into a figure; here the size of the images decides its height.
    Few panels, which one column of the page holds, get a figure of that width.
    """
    side = min(LARGEST, *(_widest_side(line, width) for line in lines))
    alone = min(_widest_side(line, SINGLE) for line in lines)
    if width == SINGLE or alone >= LARGEST:
        width, side = SINGLE, min(LARGEST_ALONE, alone)
    texts = sum(max(panel.above for panel in line) for line in lines)
    spare = TALLEST - 2 * MARGIN - SPACE * (len(lines) - 1) - texts
    side = min(side, spare / sum(max(panel.extent(0) for panel in line) for line in lines))
    side = max(side, SMALLEST)  # whatever long labels leave
    heights = [max(panel.above + panel.extent(0) * side for panel in line) for line in lines]
    height = min(TALLEST, sum(heights) + SPACE * (len(lines) - 1) + 2 * MARGIN)  # rounding
    figure = Figure(figsize=(width, height))
    every = [panel for line in lines for panel in line]
    is_large = all(text_inches(p.title, LARGE) <= p.extent(1) * side for p in every)
    size = LARGE if is_large else SMALL  # one for all titles
    free = min(_free(line, width) - side * sum(p.extent(1) for p in line) for line in lines)
    top = height - MARGIN
    for line, line_height in zip(lines, heights, strict=True):
        x, above = MARGIN + free / 2, max(panel.above for panel in line)
        for panel in line:
            tall, wide = (panel.extent(axis) * side for axis in (0, 1))
            x += panel.left
            _draw_panel(figure, panel, x, top - above - tall, wide, tall, size)
            x += wide + SPACE
        top -= line_height + SPACE
    return figure


def _widest_side(line: Sequence[Panel], width: float) -> float:
    """Return the side of an image with which a line of panels is `width` inches wide."""
    return _free(line, width) / sum(panel.extent(1) for panel in line)


def _free(line: Sequence[Panel], width: float) -> float:
    """Return what a width leaves to the images of a line of panels, in inches."""
    return width - 2 * MARGIN - sum(panel.left for panel in line) - SPACE * (len(line) - 1)


def wrap(panels: Sequence[Panel], across: int) -> list[list[Panel]]:
    """Return panels in lines of `across`; only the first panel of a line has its labels."""
    lines = [panels[start : start + across] for start in range(0, len(panels), across)]
    return [
        [line[0], *(replace(p, rows=()) if p.rows == line[0].rows else p for p in line[1:])]
        for line in lines
    ]


def _draw_panel(
    figure: Figure, panel: Panel, left: float, bottom: float, wide: float, tall: float, size: float
) -> None:
    """Draw a panel into a box of a figure, in inches, with a title of a size in points."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / height, wide / width, tall / height))
    axes.spines[:].set_visible(False)
    if panel.reason:
        letters = int(len(panel.reason) * wide / text_inches(panel.reason, SMALL))
        reason = textwrap.fill(panel.reason, max(8, letters))
        centered: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, reason, color="#595959", fontsize=SMALL, **centered)
    else:
        big = enlarge(panel.images, SHARP)
        page = tile(big, round(GAP * max(big.shape[2:4])), head=panel.head)
        extent = (0, panel.extent(1), panel.extent(0), 0)
        axes.imshow(page, interpolation="none", aspect="auto", extent=extent)
    axes.set(xlim=(0, panel.extent(1)), ylim=(panel.extent(0), 0))
    title, size = fit(panel.title, wide, size)
    raised = 72 * (LINE * bool(panel.columns) + 0.04)
    if panel.heading:
        top = raised + 72 * LINE * bool(panel.title)
        room = width - left - MARGIN
        heading, heading_size = fit(panel.heading, room)
        axes.annotate(
            heading, (0, 1), (0, top), xycoords="axes fraction", textcoords="offset points",
            fontsize=heading_size, fontweight="bold", va="bottom", annotation_clip=False,
        )  # fmt: skip
    axes.set_title(title, loc="left", fontsize=size, y=1, pad=raised, va="bottom")
    axes.tick_params("y", length=0, pad=4)
    axes.tick_params("x", length=0, pad=2, labelbottom=False, labeltop=True)
    axes.set_yticks(panel.centers(0) if panel.rows else [])
    axes.set_yticklabels(panel.rows, fontsize=NORMAL, va="center")
    axes.set_xticks(panel.centers(1) if panel.columns else [])
    axes.set_xticklabels(panel.columns, fontsize=SMALL, va="bottom")


def fit(title: str, width: float, largest: float = LARGE) -> tuple[str, float]:
    """Return a title and its size so that it fits `width` inches: smaller, then cut in the middle.

    The end stays, since names of variants often differ there alone.
    """
    for size in (largest, SMALL):
        if text_inches(title, size) <= width:
            return title, size
    for kept in range(len(title) - 1, 1, -1):
        short = f"{title[: kept - kept // 2]}…{title[len(title) - kept // 2 :]}"
        if text_inches(short, SMALL) <= width:
            return short, SMALL
    return title, SMALL
