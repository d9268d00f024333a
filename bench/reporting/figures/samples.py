"""Figure 8: samples of each class, a panel a variant, the real images first."""

from bench.errors import NotApplicable
from bench.reporting.drawing.panels import Panel, lay_out, wrap
from bench.reporting.drawing.style import DOUBLE
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData

MOST, CLASSES, ACROSS = 14, 10, 5

SIDE = 0.26
"""Inches that an image takes; there are as many of each class as fill the page."""


def draw(data: FigureData) -> CaptionedFigure:
    """Return the samples side by side, a row for each class."""
    samples = data.samples(images=True)
    if not samples:
        why = "are points; see the figure toy" if data.samples(images=False) else "were not kept"
        raise NotApplicable(f"samples of {data.data} {why}")
    shown, notes = data.limit_variants(list(samples), MOST)
    titled = {variant.label: samples[variant] for variant in shown}
    if data.real and data.real.are_images:
        titled = {"Real test images": data.real} | titled
    names = next(iter(titled.values())).names
    across = -(-len(titled) // -(-len(titled) // ACROSS))
    each = min(max(3, round(DOUBLE / across / SIDE)), *(s.x.shape[1] for s in titled.values()))
    panels = [
        Panel(of_variant.x[:CLASSES, :each], title, names[:CLASSES])
        for title, of_variant in titled.items()
    ]
    if len(names) > CLASSES:
        notes.append(f"The first {CLASSES} of {len(names)} classes.")
    notes.append(f"The first {each} samples of each class. {data.whose(shown)}")
    return CaptionedFigure(lay_out(wrap(panels, across)), notes)
