"""Figure 4: one part of the code moves while the other stays."""

import numpy as np

from bench.reporting.drawing.panels import Panel, lay_out
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, CLASSES = 4, 5
PANELS = {
    "traverse_relevant": "zₛ moves within its class",
    "traverse_classes": "zₛ moves to the next class",
    "traverse_irrelevant": "zᵤ moves",
}


def draw(data: FigureData) -> CaptionedFigure:
    """Return a line of three panels for each variant."""
    shown = find_pictures(data, tuple(PANELS), MOST)
    every = [pictures.arrays for pictures in shown.pictures.values()]
    blank = np.zeros_like(next(of[key] for of in every for key in of if key in PANELS))
    lines = []
    for variant, (arrays, missing) in shown.pictures.items():
        line: list[Panel] = []
        names = tuple(map(str, arrays["names"]))
        for key, title in PANELS.items():
            reason = "" if key in arrays else missing.get(key, "not made")
            images = arrays.get(key, blank)[:CLASSES]
            rows, heading = ((), "") if line else (names[:CLASSES], variant.label)
            line.append(Panel(images, title, rows, heading=heading, reason=reason))
        lines.append(line)
    notes = [
        "Left: one path through the standard normal, mapped to each class by its mean and "
        "deviation; middle: from the mean of a class to that of the next; both with one fixed z_u. "
        "Right: one path of z_u, the same for the mean of every class. A row is a class."
    ]
    if len(names) > CLASSES:
        notes.append(f"The first {CLASSES} of {len(names)} classes.")
    return CaptionedFigure(lay_out(lines), [*notes, *shown.notes])
