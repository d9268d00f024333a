"""Real images, and what each variant gives back when it has encoded and decoded them."""

import numpy as np

from bench.reporting.figures.available import pictured
from bench.reporting.figures.inpainting import same_originals
from bench.reporting.figures.style import SINGLE
from bench.reporting.figures.tiles import Panel, lay_out
from bench.reporting.figures.view import Drawn, View

MOST = 20


def draw(view: View) -> Drawn:
    """Return one panel: the images first, then a row a variant."""
    found = pictured(view, ("reconstruction",), MOST, encoded=True)
    rows = {"image": same_originals(found)["originals"]}
    rows |= {v.label: pictures.arrays["reconstruction"] for v, pictures in found.pictures.items()}
    panel = Panel(np.stack(list(rows.values())), rows=tuple(rows))
    notes = ("Real test images, encoded and decoded; codes are posterior means.", *found.notes)
    return Drawn(lay_out([[panel]], SINGLE), notes)
