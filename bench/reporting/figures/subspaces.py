"""Planes of codes: the two dimensions that belong to one label vary, all else stays."""

from dataclasses import replace

from bench.reporting.drawing.panels import Panel, lay_out
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, ACROSS = 4, 3


def draw(data: FigureData) -> CaptionedFigure:
    """Return one line per variant, with a panel for each of its labels."""
    shown = find_pictures(data, ("subspaces",), MOST, encoded=True)
    lines, margin, labels = [], 0.0, 0
    for variant, pictures in shown.pictures.items():
        arrays = pictures.arrays
        labels, margin = len(arrays["subspaces"]), float(arrays["subspace_margin"])
        named = zip(arrays["subspaces"], arrays["subspace_names"], strict=True)
        line = [Panel(images, str(name)) for images, name in named][:ACROSS]
        lines.append([replace(line[0], heading=variant.label), *line[1:]])
    note = (
        "The two dimensions of the relevant code that belong to a label vary over a plane, one "
        f"from row to row, one along the rows, from {margin:.0f} standard deviations below the "
        "lowest prior mean of its values to as far above the highest. All else is the code of one "
        "test image."
    )
    left_out = [f"The first {ACROSS} of {labels} labels are shown."] if labels > ACROSS else []
    return CaptionedFigure(lay_out(lines), [note, *left_out, *shown.notes])
