"""Images packed into sheets: one PNG a run, so light that hundreds fit into one file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from bench.record.pictures import Array
from bench.reporting.drawing.images import WHITE, tile

BUDGET = 12_000_000
"""Bytes of all images of a page, as base64."""

TRIED = 8
"""Sheets from which the size of all is estimated."""


@dataclass(frozen=True)
class ImageSheet:
    """Images `uint8` `[rows, columns, H, W, C]`; `cut` allows to leave out columns."""

    images: Array
    cut: bool = False
    reduced: bool = False

    def png(self) -> str:
        """Return one PNG in base64, without gaps, a date or other metadata."""
        channels = self.images.shape[-1]
        pixels = tile(self.images, color=WHITE[:channels])
        page = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        if self.reduced and channels == 3:
            page = page.quantize(256, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        page.save(buffer, format="PNG", compress_level=6)
        return base64.b64encode(buffer.getvalue()).decode("ascii")


def fit_budget(sheets: Sequence[ImageSheet], budget: int = BUDGET) -> list[ImageSheet]:
    """Return sheets that together take about as many bytes as a budget, at most.

    Pixels are exact where that fits. Else colors are reduced, then examples left out, then rows:
    no image is ever made smaller.
    """
    fitted = list(sheets)
    if _size(fitted) > budget:
        fitted = [replace(sheet, reduced=True) for sheet in fitted]
    for axis in (1, 0):
        if (size := _size(fitted)) > budget:
            fitted = [_part(sheet, axis, budget / size) for sheet in fitted]
    return fitted


def _size(sheets: Sequence[ImageSheet]) -> float:
    """Return about how large all files would be, from some of them."""
    some = sheets[:: max(1, len(sheets) // TRIED)]
    pixels = sum(sheet.images.size for sheet in some)
    total = sum(sheet.images.size for sheet in sheets)
    return sum(len(sheet.png()) for sheet in some) * total / pixels if some else 0.0


def _part(sheet: ImageSheet, axis: int, share: float) -> ImageSheet:
    """Return a share of the columns (axis 1), where they may be left out, or rows (axis 0)."""
    if axis == 1 and not sheet.cut:
        return sheet
    kept = max(1, int(sheet.images.shape[axis] * share))
    return replace(sheet, images=sheet.images.take(range(kept), axis=axis))
