"""Figure 6: images made of the codes of two."""

import numpy as np

from bench.reporting.drawing.panels import Panel, lay_out, wrap
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, ACROSS = 9, 3


def draw(data: FigureData) -> CaptionedFigure:
    """Return a panel a variant: the images themselves in the first row and column."""
    shown = find_pictures(data, ("swaps",), MOST, encoded=True)
    panels = []
    for variant, pictures in shown.pictures.items():
        swaps, originals = pictures.arrays["swaps"], pictures.arrays["originals"]
        count = len(originals)
        table = np.full((count + 1, count + 1, *originals.shape[1:]), 255, dtype=np.uint8)
        table[0, 1:] = table[1:, 0] = originals
        table[1:, 1:] = swaps
        panels.append(Panel(table, variant.label, head=True))
    note = (
        "First row and first column: real test images. Each other image has the relevant code of "
        "the image at the left of its row and the irrelevant code of the image above its column; "
        "the diagonal is the reconstruction. Where the label is the relevant code, it is that of "
        "the row."
    )
    return CaptionedFigure(lay_out(wrap(panels, ACROSS)), [note, *shown.notes])
