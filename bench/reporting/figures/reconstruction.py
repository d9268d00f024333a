"""Real images, and what each variant gives back when it has encoded and decoded them."""

import numpy as np

from bench.reporting.drawing.panels import Panel, lay_out
from bench.reporting.drawing.style import SINGLE
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST = 20


def draw(data: FigureData) -> CaptionedFigure:
    """Return one panel: the images first, then one row per variant."""
    shown = find_pictures(data, ("reconstruction",), MOST, encoded=True)
    rows = [("image", shown.originals())]
    rows += [(v.label, p.arrays["reconstruction"]) for v, p in shown.pictures.items()]
    labels, images = zip(*rows, strict=True)
    note = "Real test images, encoded and decoded; codes are posterior means."
    panel = Panel(np.stack(images), rows=labels)
    return CaptionedFigure(lay_out([[panel]], SINGLE), [note, *shown.notes])
