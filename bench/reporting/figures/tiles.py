"""Pictures of many images: each enlarged by a whole number, none smoothed, laid out in inches."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.reporting.figures.style import LARGE, NORMAL, SMALL, text_inches

Array = np.ndarray[Any, np.dtype[Any]]

SHARP = 96
"""An image is enlarged to at least this side in pixels, so that no program smooths it."""

GAP = 1 / 12
"""White between images, as a share of their side."""

SPACE = 0.14
"""White between panels, in inches."""

LINE = 0.15
"""Height of a line of text, in inches."""


@dataclass(frozen=True)
class Panel:
    """A table of images.

    Attributes:
        images: `uint8` `[R, S, H, W, C]`.
        title: What stands above.
        rows: What stands left of each row; nothing where empty.
        columns: What stands above each column; nothing where empty.
        head: Whether the first row and the first column stand apart.
        reason: Why there are no images; `images` then only says how large the panel would be.
        below: What stands below.
    """

    images: Array
    title: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    head: bool = False
    reason: str = ""
    below: str = ""


def lay_out(lines: Sequence[Sequence[Panel]], width: float, largest: float = 0.32) -> Figure:
    """Return a figure of panels, line by line.

    Args:
        lines: The panels of each line, from left to right.
        width: Of the figure, in inches.
        largest: Side of an image at most, in inches.

    Returns:
        The figure; all images have the same side, at which the widest line fits.
    """
    lefts = [[_left(panel) for panel in line] for line in lines]
    spare = [
        width - sum(left) - SPACE * (len(line) - 1) - 0.04
        for line, left in zip(lines, lefts, strict=True)
    ]
    units = [sum(_units(panel)[1] for panel in line) for line in lines]
    side = min(largest, *(have / want for have, want in zip(spare, units, strict=True)))
    heights = [
        max(_above(panel) + _units(panel)[0] * side + LINE * bool(panel.below) for panel in line)
        for line in lines
    ]
    total = sum(heights) + SPACE * (len(lines) - 1) + 0.04
    figure = Figure(figsize=(width, total))
    top = total - 0.02
    for line, left, high in zip(lines, lefts, heights, strict=True):
        x = 0.02
        above = max(_above(panel) for panel in line)
        for panel, labels in zip(line, left, strict=True):
            tall, wide = (part * side for part in _units(panel))
            box = (x + labels, top - above - tall, wide, tall)
            _show(figure, panel, box)
            x += labels + wide + SPACE
        top -= high + SPACE
    return figure


def wrapped(panels: Sequence[Panel], across: int) -> list[list[Panel]]:
    """Return panels in lines of so many; a line's labels stand before its first panel alone."""
    lines = []
    for start in range(0, len(panels), across):
        first, *others = panels[start : start + across]
        bare = [
            Panel(p.images, p.title, (), p.columns, p.head, p.reason, p.below)
            if p.rows == first.rows
            else p
            for p in others
        ]
        lines.append([first, *bare])
    return lines


def tile(images: Array, *, head: bool = False) -> Array:
    """Return one picture of a table of images, on white.

    Args:
        images: `uint8` `[R, S, H, W, C]` with 1 or 3 channels.
        head: Whether the first row and column stand apart.

    Returns:
        `uint8` `[_, _, 3]`.

    Raises:
        ValueError: If shapes or types are not these.
    """
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images must be uint8 [R, S, H, W, C] with 1 or 3 channels, "
            f"got {images.dtype} {list(images.shape)}"
        )
    rows, columns, height, width, _ = images.shape
    scale = -(-SHARP // max(height, width))
    high, wide = height * scale, width * scale
    gap = round(GAP * max(high, wide))
    big = np.broadcast_to(images, (*images.shape[:-1], 3))
    big = big.repeat(scale, axis=2).repeat(scale, axis=3)
    tops = [row * (high + gap) + 3 * gap * (head and row > 0) for row in range(rows)]
    lefts = [place * (wide + gap) + 3 * gap * (head and place > 0) for place in range(columns)]
    page = np.full((tops[-1] + high, lefts[-1] + wide, 3), 255, dtype=np.uint8)
    for row, top in enumerate(tops):
        for place, left in enumerate(lefts):
            page[top : top + high, left : left + wide] = big[row, place]
    return page


def _units(panel: Panel) -> tuple[float, float]:
    """Return height and width of a panel's picture in sides of an image."""
    rows, columns, height, width, _ = panel.images.shape
    high, wide = height / max(height, width), width / max(height, width)
    extra = 3 * GAP * panel.head
    return rows * (high + GAP) - GAP + extra, columns * (wide + GAP) - GAP + extra


def _left(panel: Panel) -> float:
    """Return the room for the labels of the rows, in inches."""
    longest = max((text_inches(name, NORMAL) for name in panel.rows), default=0.0)
    return longest + 0.08 if longest else 0.0


def _above(panel: Panel) -> float:
    """Return the room for the title and the labels of the columns, in inches."""
    return LINE * (bool(panel.title) + bool(panel.columns)) + 0.02


def _show(figure: Figure, panel: Panel, box: tuple[float, float, float, float]) -> None:
    """Draw a panel; the box is left, bottom, width and height in inches."""
    page_wide, page_high = figure.get_size_inches()
    left, bottom, wide, high = box
    axes = figure.add_axes(
        (left / page_wide, bottom / page_high, wide / page_wide, high / page_high)
    )
    axes.set_axis_off()
    rows, columns = panel.images.shape[:2]
    tall, broad = _units(panel)
    if panel.reason:
        text = _broken(panel.reason, wide)
        axes.text(0.5, 0.5, text, ha="center", va="center", color="#595959", fontsize=SMALL)
        axes.set(xlim=(0, 1), ylim=(0, 1))
    else:
        page = tile(panel.images, head=panel.head)
        axes.imshow(page, interpolation="none", aspect="auto", extent=(0, broad, tall, 0))
    raised = LINE * bool(panel.columns) + 0.04
    if panel.title:
        title, size = _fitted(panel.title, wide)
        axes.annotate(
            title, (0, 1), xycoords="axes fraction", xytext=(0, 72 * raised),
            textcoords="offset points", fontsize=size, va="bottom", ha="left",
        )  # fmt: skip
    centers = [
        [_center(panel, place, axis) for place in range(n)]
        for axis, n in enumerate((rows, columns))
    ]
    for name, y in zip(panel.rows, centers[0], strict=False):
        axes.annotate(
            name, (0, 1 - y / tall), xycoords="axes fraction", xytext=(-4, 0),
            textcoords="offset points", fontsize=NORMAL, va="center", ha="right",
        )  # fmt: skip
    for name, x in zip(panel.columns, centers[1], strict=False):
        axes.annotate(
            name, (x / broad, 1), xycoords="axes fraction", xytext=(0, 2),
            textcoords="offset points", fontsize=SMALL, va="bottom", ha="center",
        )  # fmt: skip
    if panel.below:
        axes.annotate(
            panel.below, (0.5, 0), xycoords="axes fraction", xytext=(0, -2),
            textcoords="offset points", fontsize=SMALL, va="top", ha="center",
        )  # fmt: skip


def _center(panel: Panel, place: int, axis: int) -> float:
    """Return the middle of a row (axis 0) or column in sides of an image."""
    size = panel.images.shape[2 + axis] / max(panel.images.shape[2:4])
    return float(place * (size + GAP) + size / 2 + 3 * GAP * (panel.head and place > 0))


def _fitted(title: str, wide: float) -> tuple[str, float]:
    """Return a title and its size so that it fits so many inches: smaller, then cut in the middle.

    The end stays, since names of variants often differ there alone.
    """
    for size in (LARGE, SMALL):
        if text_inches(title, size) <= wide:
            return title, size
    for kept in range(len(title) - 1, 1, -1):
        short = f"{title[: kept - kept // 2]}…{title[len(title) - kept // 2 :]}"
        if text_inches(short, SMALL) <= wide:
            return short, SMALL
    return title, SMALL


def _broken(text: str, wide: float) -> str:
    """Return a sentence in lines that fit so many inches."""
    letters = int(len(text) * wide / text_inches(text, SMALL))
    return "\n".join(textwrap.wrap(text, max(8, letters)))
