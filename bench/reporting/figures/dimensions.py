"""Figure 5: single dimensions of the label-irrelevant code."""

from bench.reporting.drawing.panels import Panel, lay_out, wrap
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, ACROSS = 9, 3


def draw(data: FigureData) -> CaptionedFigure:
    """Return a panel a variant, a row a dimension."""
    shown = find_pictures(data, ("dimensions",), MOST)
    panels, reach, name = [], 0.0, ""
    for variant, pictures in shown.pictures.items():
        arrays = pictures.arrays
        dimensions = zip(arrays["dimensions_index"], arrays["dimensions_spread"], strict=True)
        rows = tuple(f"{index}  ({spread:.2f})" for index, spread in dimensions)
        columns = tuple(f"{v:+.0f}" if v else "0" for v in arrays["dimensions_values"])
        panels.append(Panel(arrays["dimensions"], variant.label, rows, columns))
        reach, name = float(arrays["dimensions_values"][-1]), str(arrays["names"][0])
    note = (
        f"Each row moves one dimension of z_u from {-reach:.0f} to {reach:.0f} standard deviations "
        f"of its prior; all others are 0, and z_s is the mean of the class {name!r}. The "
        "dimensions are those that vary most over test images; their number is before the "
        "row, the standard deviation of their posterior means in brackets."
    )
    return CaptionedFigure(lay_out(wrap(panels, ACROSS)), [note, *shown.notes])
