"""Figure 7: what a model fills in where a part of an image was hidden."""

import numpy as np

from bench.reporting.drawing.panels import Panel, lay_out
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, SHOWN = 20, 8


def draw(data: FigureData) -> CaptionedFigure:
    """Return one panel per region: the images, what is left of them, and a row per variant."""
    shown = find_pictures(data, ("inpainting",), MOST, encoded=True)
    originals = shown.originals()
    arrays = [pictures.arrays for pictures in shown.pictures.values()]
    labels = ("image", "given", *(variant.label for variant in shown.pictures))
    line: list[Panel] = []
    for index, region in enumerate(arrays[0]["regions"]):
        rows = [originals, arrays[0]["corrupted"][index]]
        rows += [of_variant["inpainting"][index] for of_variant in arrays]
        title = str(region).replace("_", " ")
        line.append(Panel(np.stack(rows)[:, :SHOWN], title, () if line else labels))
    cut = f" The first {SHOWN} of {len(originals)} images." if len(originals) > SHOWN else ""
    note = (
        "Real test images, a region of which is hidden by mid-grey; inside of the region is "
        f"what the decoder makes of the codes of what is left.{cut}"
    )
    return CaptionedFigure(lay_out([line]), [note, *shown.notes])
