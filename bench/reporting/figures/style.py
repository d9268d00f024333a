"""How figures look: sizes of a paper, colors that the color-blind can tell apart, and no dates.

Colors are those of Okabe & Ito (2008), without yellow, which is too pale for lines on white. No
meaning hangs on color alone: lines differ in dashes too, points in shape.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import matplotlib
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextPath

SINGLE, DOUBLE = 3.3, 6.9
"""Width of one column and of a page, in inches."""

TALLEST = 9.0
"""Height of a page, in inches."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
REAL_COLOR = "#767676"
PALE = "#C8C8C8"

SMALL, NORMAL, LARGE = 6.5, 7.0, 8.0
"""Sizes of text, in points."""

_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": NORMAL,
    "text.parse_math": False,  # names of variants are the user's, with dollar signs or without
    "axes.titlesize": LARGE,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": NORMAL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text, which journals ask for
    "savefig.dpi": 300,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in this style for a while, whatever the user's own settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def color(place: int) -> str:
    """Return the color of the variant or class of that place."""
    return COLORS[place % len(COLORS)]


def marker(place: int) -> str:
    """Return the shape of its points; no two of 56 have color and shape in common."""
    return MARKERS[(place + place // len(COLORS) // len(MARKERS)) % len(MARKERS)]


def dashes(place: int) -> str | tuple[int, tuple[float, ...]]:
    """Return the dashes of its lines."""
    return DASHES[place % len(DASHES)]


def text_inches(text: str, size: float) -> float:
    """Return how wide a text of that size is in the figures' font, in inches."""
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72 if text else 0.0


def packed() -> ConstrainedLayoutEngine:
    """Return a layout with little room between the parts."""
    return ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)


def rendered(figure: Figure, form: str, about: Mapping[str, str]) -> bytes:
    """Return a figure as a file: the same figure, the same bytes.

    Args:
        figure: Drawn in this style.
        form: `pdf` or `png`.
        about: `title`, and the `command` that makes the figure; both go into the file.

    Returns:
        The content.
    """
    if form == "pdf":
        metadata = {"Title": about["title"], "Subject": about["command"], "CreationDate": None}
    else:
        metadata = {"Title": about["title"], "Description": about["command"], "Software": None}
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()
