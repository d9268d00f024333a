"""The samples of each variant that are most like copies, with the nearest real images."""

from bench.reporting.drawing.panels import Panel, lay_out, wrap
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures

MOST, ACROSS = 10, 2


def draw(data: FigureData) -> CaptionedFigure:
    """Return a panel a variant: samples above their nearest training and test images."""
    shown = find_pictures(data, ("neighbors",), MOST)
    panels = [
        Panel(
            pictures.arrays["neighbors"],
            variant.label,
            rows=("sample", "training", "test"),
            columns=tuple(f"{ratio:.2f}" for ratio in pictures.arrays["neighbors_ratio"].tolist()),
        )
        for variant, pictures in shown.pictures.items()
    ]
    notes = [
        "Samples above the training image and the test image that are nearest to them by the "
        "metric `memorization`.",
        "Numbers are the distance from the training image over that from the test image; shown are "
        "the samples with the least. 0 is a copy, and with more training than test images most "
        "numbers are below 1.",
    ]
    return CaptionedFigure(lay_out(wrap(panels, ACROSS)), [*notes, *shown.notes])
