"""What the code of an image costs, in nats, against how well it gives back the image."""

from bench.reporting.figures.figure_data import CaptionedFigure, FigureData
from bench.reporting.figures.tradeoff import draw_pair

DEFAULT = ("rate", "reconstruction_mse")


def draw(data: FigureData) -> CaptionedFigure:
    """Return the distortion over the rate: below and to the left is better."""
    return draw_pair(data, DEFAULT)
