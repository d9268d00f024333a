"""The parts of one code that belong to attributes move, one at a time and two at a time."""

from bench.reporting.drawing.panels import Panel, lay_out
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, PLANES = 4, 2


def draw(data: FigureData) -> CaptionedFigure:
    """Return a line per variant: a panel of walks, a row per attribute, then planes of two."""
    shown = find_pictures(data, ("walks",), MOST, encoded=True)
    lines, beyond, planes = [], 0.0, 0
    for variant, pictures in shown.pictures.items():
        arrays = pictures.arrays
        names = tuple(map(str, arrays["walk_names"]))
        line = [Panel(arrays["walks"], variant.label, names)]
        if "walk_planes" in arrays:
            planes = len(arrays["walk_planes"])
            for images, pair in zip(
                arrays["walk_planes"][:PLANES], arrays["walk_pairs"], strict=False
            ):
                line.append(Panel(images, f"{pair[0]} ↓, {pair[1]} →"))
        beyond = float(arrays["walk_beyond"])
        lines.append(line)
    note = (
        "The part of the relevant code that belongs to an attribute moves on a straight line from "
        f"{beyond:.0f} standard deviations beyond the prior mean of its value 0 to as far beyond "
        "that of 1; all else is the code of one test image. Left: one attribute a row; right: two "
        "attributes, one from row to row, one along the rows."
    )
    left_out = f"The first {PLANES} of {planes} pairs of neighbors are shown."
    notes = [note, *([left_out] if planes > PLANES else []), *shown.notes]
    return CaptionedFigure(lay_out(lines), notes)
