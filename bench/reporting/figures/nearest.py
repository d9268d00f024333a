"""The samples that are nearest to training images, of each variant, with those training images."""

from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, find_pictures
from bench.reporting.figures.panels import Panel, lay_out, wrap

MOST, ACROSS = 10, 2


def draw(data: FigureData) -> CaptionedFigure:
    """Return a panel a variant: samples, nearest first, above their training images."""
    shown = find_pictures(data, ("nearest",), MOST)
    panels = []
    for variant, pictures in shown.pictures.items():
        threshold = float(pictures.arrays["nearest_threshold"])
        distances = pictures.arrays["nearest_distance"].tolist()
        panels.append(
            Panel(
                pictures.arrays["nearest"],
                variant.label,
                rows=("sample", "training"),
                columns=tuple(_share(distance, threshold) for distance in distances),
            )
        )
    notes = [
        "Samples that are nearest to a training image by the metric `memorization`, above that "
        "image; the nearest first.",
        "Numbers are distances as shares of the threshold: up to 1 is memorized, as near as the "
        "nearest of the real test images.",
    ]
    return CaptionedFigure(lay_out(wrap(panels, ACROSS)), [*notes, *shown.notes])


def _share(distance: float, threshold: float) -> str:
    """Return a distance as a share of the threshold, which is 0 where test images are copies."""
    if threshold:
        return f"{distance / threshold:.2f}"
    return "0" if not distance else ">1"
