"""Images packed into sheets: one PNG a run, so light that hundreds fit into one file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[np.uint8]]

BUDGET = 12_000_000
"""Bytes of all images of a page, as base64."""

COLORS = 256

TRIED = 8
"""Sheets by which the size of all is told beforehand."""


@dataclass(frozen=True)
class Sheet:
    """Equally large images in rows and columns.

    Attributes:
        images: `uint8` `[rows, columns, H, W, C]`, `C` 1 or 3.
        cut: Whether columns may be left out: they are further examples, not steps of a series.
    """

    images: Array
    cut: bool = False

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 5 or shape[-1] not in (1, 3):
            raise ValueError(
                "a sheet must be uint8 [rows, columns, H, W, C] with 1 or 3 channels, "
                f"got {self.images.dtype} {list(shape)}"
            )


@dataclass(frozen=True)
class Packed:
    """Sheets as PNG files, and what had to be left out of them.

    Attributes:
        files: One PNG as base64 for each sheet.
        sheets: The sheets as they were packed, perhaps with fewer columns or rows.
        colors: Whether colors were reduced to 256 a sheet.
    """

    files: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    colors: bool


def pack(sheets: Sequence[Sheet], budget: int = BUDGET) -> Packed:
    """Pack sheets so that all of them together take about as much as a budget, at most.

    Pixels are exact where that fits. Else colors are reduced, then examples left out, then rows:
    no image is ever made smaller.

    Args:
        sheets: What to show.
        budget: Bytes of all files.

    Returns:
        The files.
    """
    colors = _size(sheets, colors=False) > budget
    for axis in (1, 0):
        size = _size(sheets, colors=colors)
        if size > budget:
            sheets = [_part(sheet, axis, budget / size) for sheet in sheets]
    return Packed(tuple(_png(sheet, colors=colors) for sheet in sheets), tuple(sheets), colors)


def _size(sheets: Sequence[Sheet], *, colors: bool) -> float:
    """Return about how large all files would be, from some of them."""
    some = sheets[:: max(1, len(sheets) // TRIED)]
    if not some:
        return 0.0
    files = sum(len(_png(sheet, colors=colors)) for sheet in some)
    return files * sum(sheet.images.size for sheet in sheets) / sum(s.images.size for s in some)


def _part(sheet: Sheet, axis: int, share: float) -> Sheet:
    """Return a share of the columns (axis 1), where they may be left out, or rows (axis 0)."""
    if axis == 1 and not sheet.cut:
        return sheet
    kept = max(1, int(sheet.images.shape[axis] * share))
    return replace(sheet, images=np.take(sheet.images, range(kept), axis=axis))


def _png(sheet: Sheet, *, colors: bool) -> str:
    """Return a sheet as one PNG in base64, without gaps, a date or other metadata."""
    rows, columns, height, width, channels = sheet.images.shape
    pixels = sheet.images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    page = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
    if colors and channels == 3:
        page = page.quantize(COLORS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    page.save(buffer, format="PNG", compress_level=6)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
