"""Names beside points, none of which lies on a marker, an interval, a line or another name."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from bench.record.pictures import Array
from bench.reporting.drawing import style

GAP = 2.0
"""Free points (1/72 inch) between a name and whatever is near it."""

REACH = 0.2
"""How far from its point a name may be placed, as a share of the width of the axes."""

SHORTEST = 3.0
"""Points (1/72 inch) between a name and the rim of its marker from which on a line joins them."""

CANDIDATES = 800
"""Places that are tried for each name."""

ORDERS: tuple[str | int, ...] = ("largest", 0, 1, 2, 3, 4)
"""Orders in which names choose their places, tried until all have one: the longest first, then
random ones, of which each number is always the same."""


class Label(NamedTuple):
    """A name, and the place, the radius in points and the color of its marker.

    Without a `text` it is a marker that has no name.
    """

    text: str
    x: float
    y: float
    radius: float
    color: str = style.REAL_COLOR


def place_labels(axes: Axes, labels: Sequence[Label], lines: Sequence[Array]) -> list[str]:
    """Write names into axes of final size; return those that find no place.

    Args:
        axes: Axes whose limits and size do not change any more.
        labels: The markers, with the names that are to be placed.
        lines: What names must not cover either: ends `[N, 2]` of intervals and lines, in data
            coordinates inside of the axes.

    Returns:
        The names for which there is no place in the best of the orders; these are not written.
    """
    placed: list[tuple[list[str], int | str]] = []
    for order in ORDERS:
        unplaced, artists = _place(axes, labels, lines, order)
        if not unplaced:
            return []
        placed.append((unplaced, order))
        for artist in artists:
            artist.remove()
    fewest, order = min(placed, key=lambda tried: len(tried[0]))
    _place(axes, labels, lines, order)
    return fewest


def _place(
    axes: Axes, labels: Sequence[Label], lines: Sequence[Array], order: str | int
) -> tuple[list[str], list[Artist]]:
    """Return the names without a place, and what was written and drawn of the others."""
    import textalloc

    pixel = axes.figure.dpi / 72
    width = axes.get_window_extent().width
    named = [label for label in labels if label.text]
    gap = GAP * pixel / width
    _, _, texts, leaders = textalloc.allocate(
        axes,
        [label.x for label in named],
        [label.y for label in named],
        [label.text for label in named],
        x_scatter=[label.x for label in labels],
        y_scatter=[label.y for label in labels],
        scatter_sizes=[label.radius * pixel for label in labels],
        x_lines=[line[:, 0] for line in lines],
        y_lines=[line[:, 1] for line in lines],
        text_scatter_sizes=[label.radius * pixel for label in named],
        textsize=style.SMALL,
        margin=gap,
        min_distance=1.1 * gap,
        max_distance=REACH,
        nbr_candidates=CANDIDATES,
        draw_all=False,
        linecolor=[label.color for label in named],
        linewidth=0.5,
        priority_strategy=order,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
        plot_kwargs={"zorder": 1, "ls": ":"},  # no error bars
        zorder=4,
    )
    centers = axes.transData.transform([(m.x, m.y) for m in labels])
    markers = [
        Label("", float(x), float(y), marker.radius * pixel)
        for (x, y), marker in zip(centers, labels, strict=True)
    ]
    unplaced, artists = [], list[Artist]()
    for label, text, leader in zip(named, texts, leaders, strict=True):
        own = markers[labels.index(label)]
        if leader is not None:
            ends = axes.transData.transform(leader.get_xydata())
            crossed = text and any(_crosses(ends, m) for m in markers if m[1:3] != own[1:3])
            if crossed or np.hypot(*(ends[1] - ends[0])) < own.radius + SHORTEST * pixel:
                leader.remove()
                leader = None
            if crossed:
                text.remove()
                text = None
        unplaced += [label.text] if text is None else []
        artists += [artist for artist in (text, leader) if artist is not None]
    return unplaced, artists


def _crosses(ends: Array, marker: Label) -> bool:
    """Return whether a line from the name `ends[0]` to its marker `ends[1]` crosses another one."""
    start, end = ends
    center = np.array([marker.x, marker.y])
    if np.hypot(*(center - end)) < marker.radius:  # markers that overlap
        return False
    along = end - start
    share = np.clip((center - start) @ along / (along @ along), 0, 1)
    return bool(np.hypot(*(start + share * along - center)) < marker.radius)
