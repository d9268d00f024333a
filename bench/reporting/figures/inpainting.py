"""Figure 7: what a model fills in where a part of an image was hidden."""

import numpy as np

from bench.errors import NotApplicable
from bench.reporting.figures.available import Pictured, pictured
from bench.reporting.figures.style import DOUBLE
from bench.reporting.figures.tiles import Array, Panel, lay_out
from bench.reporting.figures.view import Drawn, View

MOST, SHOWN = 20, 8


def draw(view: View) -> Drawn:
    """Return a panel a region: the images, what is left of them, and a row a variant."""
    found = pictured(view, ("inpainting",), MOST, encoded=True)
    first = same_originals(found)
    labels = ("image", "given", *(variant.label for variant in found.pictures))
    line: list[Panel] = []
    for place, region in enumerate(first["regions"]):
        rows = [first["originals"], first["corrupted"][place]]
        rows += [pictures.arrays["inpainting"][place] for pictures in found.pictures.values()]
        title = str(region).replace("_", " ")
        line.append(Panel(np.stack(rows)[:, :SHOWN], title, () if line else labels))
    notes = (
        "Real test images, a region of which is hidden by mid-grey; inside of the region stands "
        "what the decoder makes of the codes of what is left.",
        *found.notes,
    )
    return Drawn(lay_out([line], DOUBLE), notes)


def same_originals(found: Pictured) -> dict[str, Array]:
    """Return the arrays of the first variant; all must begin with the same real images."""
    arrays = [pictures.arrays for pictures in found.pictures.values()]
    for variant, other in zip(found.pictures, arrays, strict=True):
        if not np.array_equal(other["originals"], arrays[0]["originals"]):
            raise NotApplicable(
                f"{variant.label} has other test images than {next(iter(found.pictures)).label}; "
                "choose variants of one data set by --variant"
            )
    return arrays[0]
