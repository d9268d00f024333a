"""Figure 4: one part of the code moves while the other stays."""

import numpy as np

from bench.reporting.figures.available import pictured
from bench.reporting.figures.style import DOUBLE
from bench.reporting.figures.tiles import Panel, lay_out
from bench.reporting.figures.view import Drawn, View

MOST, CLASSES = 4, 5
PANELS = {
    "traverse_relevant": "zₛ moves within its class",
    "traverse_classes": "zₛ moves to the next class",
    "traverse_irrelevant": "zᵤ moves",
}


def draw(view: View) -> Drawn:
    """Return a line of three panels for each variant."""
    found = pictured(view, tuple(PANELS), MOST)
    sizes = [
        array.shape for p in found.pictures.values() for k, array in p.arrays.items() if k in PANELS
    ]
    lines = []
    for variant, pictures in found.pictures.items():
        names = tuple(map(str, pictures.arrays["names"]))[:CLASSES]
        line: list[Panel] = []
        for key, title in PANELS.items():
            images = pictures.arrays.get(key, np.zeros(sizes[0], dtype=np.uint8))[:CLASSES]
            head = f"{variant.label}: {title}" if not line else title
            reason = "" if key in pictures.arrays else pictures.missing.get(key, "not made")
            line.append(Panel(images, head, () if line else names, reason=reason))
        lines.append(line)
    notes = (
        "Left: one path through the standard normal, mapped to each class by its mean and "
        "deviation; middle: from the mean of a class to that of the next; both with one fixed z_u. "
        "Right: one path of z_u, the same for the mean of every class. A row is a class.",
        *found.notes,
    )
    return Drawn(lay_out(lines, DOUBLE), notes)
