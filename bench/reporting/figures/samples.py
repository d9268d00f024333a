"""Figure 8: samples of each class, a panel a variant, the real images first."""

from bench.errors import NotApplicable
from bench.reporting.figures.style import DOUBLE
from bench.reporting.figures.tiles import Panel, lay_out, wrapped
from bench.reporting.figures.view import Drawn, View

MOST, CLASSES, ACROSS = 14, 10, 5

SIDE = 0.26
"""Inches that an image takes; there are as many of each class as fill the page."""


def draw(view: View) -> Drawn:
    """Return the samples side by side, a row for each class."""
    held = [(v, samples) for v in view.variants if (samples := view.samples(v))]
    held = [(v, samples) for v, samples in held if samples.are_images]
    if not held:
        raise NotApplicable(f"no images of {view.data} were kept; see the figure toy for points")
    shown, notes = view.fitting([variant for variant, _ in held], MOST)
    found = {variant.label: samples for variant, samples in held if variant in shown}
    if view.real and view.real.are_images:
        found = {"Real test images": view.real} | found
    names = next(iter(found.values())).names
    across = -(-len(found) // -(-len(found) // ACROSS))
    each = min(max(3, round(DOUBLE / across / SIDE)), *(s.x.shape[1] for s in found.values()))
    panels = [
        Panel(samples.x[:CLASSES, :each], title, names[:CLASSES])
        for title, samples in found.items()
    ]
    if len(names) > CLASSES:
        notes.append(f"The first {CLASSES} of {len(names)} classes.")
    notes.append(f"The first {each} samples of each class. {view.whose(shown)}")
    return Drawn(lay_out(wrapped(panels, across), DOUBLE), tuple(notes))
