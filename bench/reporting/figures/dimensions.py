"""Figure 5: single dimensions of the label-irrelevant code."""

from bench.reporting.figures.available import pictured
from bench.reporting.figures.style import DOUBLE
from bench.reporting.figures.tiles import Panel, lay_out, wrapped
from bench.reporting.figures.view import Drawn, View

MOST, ACROSS = 9, 3


def draw(view: View) -> Drawn:
    """Return a panel a variant, a row a dimension."""
    found = pictured(view, ("dimensions",), MOST)
    panels, reach, name = [], 0.0, ""
    for variant, pictures in found.pictures.items():
        of = pictures.arrays
        rows = tuple(
            f"{index}  ({spread:.2f})"
            for index, spread in zip(of["dimensions_index"], of["dimensions_spread"], strict=True)
        )
        values = of["dimensions_values"]
        columns = tuple(f"{value:+.0f}" if value else "0" for value in values)
        panels.append(Panel(of["dimensions"], variant.label, rows, columns))
        reach, name = float(values[-1]), str(of["names"][0])
    notes = (
        f"Each row moves one dimension of z_u from {-reach:.0f} to {reach:.0f} standard deviations "
        f"of its prior; all others are 0, and z_s is the mean of the class {name!r}. The "
        "dimensions are those that vary most over test images; their number stands before the "
        "row, the standard deviation of their posterior means in brackets.",
        *found.notes,
    )
    return Drawn(lay_out(wrapped(panels, ACROSS), DOUBLE), notes)
