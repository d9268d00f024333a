"""Pictures of samples: the same samples, the same bytes.

Pixels are shown as they are stored, enlarged by a whole number without smoothing, so that an 8x8
digit can be judged and nothing is made prettier than it is.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from bench.record.files import write_atomically

Images = npt.NDArray[np.uint8]

GRID = (64, 96, 144)
"""Color of the lines between images: no gray, so that gray images end where they end."""

TILE = 48
"""Small images are enlarged to at least this side, in pixels."""

GAP = 2
MARGIN = 12
PAGE = 1800
"""Panels that would make a picture wider than this go into the next line."""

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
LABEL_PIXELS = 14
TITLE_PIXELS = 18
LONGEST_LABEL = 18


def save_image_grid(images: Images, class_names: Sequence[str], path: Path) -> None:
    """Save samples, one row for each class, with its name before it.

    Args:
        images: `uint8` `[K, n, H, W, C]`, `C` 1 or 3.
        class_names: `K` names.
        path: A PNG file.

    Raises:
        ValueError: If shapes or types are not these.
    """
    save_comparison_grid([("", images)], class_names, path)


def save_comparison_grid(
    panels: Sequence[tuple[str, Images]], class_names: Sequence[str], path: Path
) -> None:
    """Save the samples of several variants side by side, a row for each class.

    Args:
        panels: Titles, and images as in `save_image_grid`; the same classes in each.
        class_names: `K` names.
        path: A PNG file.

    Raises:
        ValueError: If shapes or types are not these.
    """
    if not panels:
        raise ValueError("a picture needs at least one panel")
    tiles = [(title, _tile(images, len(class_names))) for title, images in panels]
    names = [_shorten(name) for name in class_names]
    label = ImageFont.truetype(str(FONT), LABEL_PIXELS)
    heading = ImageFont.truetype(str(FONT), TITLE_PIXELS)
    left = MARGIN + max(int(label.getlength(name)) for name in names) + MARGIN
    top = TITLE_PIXELS + MARGIN if any(title for title, _ in tiles) else 0
    widths = [max(part.shape[1], int(heading.getlength(title))) for title, part in tiles]
    lines: list[list[int]] = [[]]
    for place, wide in enumerate(widths):
        used = left + sum(widths[other] + 2 * MARGIN for other in lines[-1])
        if lines[-1] and used + wide > PAGE:
            lines.append([])
        lines[-1].append(place)

    heights = [top + max(tiles[place][1].shape[0] for place in line) + MARGIN for line in lines]
    spans = [sum(widths[place] + 2 * MARGIN for place in line) for line in lines]
    page = Image.new("RGB", (left + max(spans) - MARGIN, MARGIN + sum(heights)), "white")
    draw = ImageDraw.Draw(page)
    y = MARGIN
    for line, high in zip(lines, heights, strict=True):
        x = left
        for place in line:
            title, part = tiles[place]
            draw.text((x, y), title, fill="black", font=heading)
            page.paste(Image.fromarray(part), (x, y + top))
            x += widths[place] + 2 * MARGIN
        row = tiles[line[0]][1].shape[0] / len(names)
        for number, name in enumerate(names):
            middle = (left - MARGIN, y + top + round((number + 0.5) * row))
            draw.text(middle, name, fill="black", font=label, anchor="rm")
        y += high
    _save(page, path)


def _tile(images: Images, classes: int) -> Images:
    """Return one picture of all images: RGB, enlarged, on a grid of blue lines."""
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images must be uint8 [K, n, H, W, C] with 1 or 3 channels, "
            f"got {images.dtype} {list(images.shape)}"
        )
    rows, columns, height, width, _ = images.shape
    if rows != classes:
        raise ValueError(f"{classes} class names, but images of {rows} classes")
    scale = max(1, -(-TILE // max(height, width)))
    big = np.broadcast_to(images, (*images.shape[:-1], 3))
    big = big.repeat(scale, axis=2).repeat(scale, axis=3)
    high, wide = height * scale + GAP, width * scale + GAP
    page = np.empty((rows, high, columns, wide, 3), dtype=np.uint8)
    page[:] = GRID
    page[:, :-GAP, :, :-GAP] = big.transpose(0, 2, 1, 3, 4)
    return page.reshape(rows * high, columns * wide, 3)[:-GAP, :-GAP]


def _shorten(name: str) -> str:
    """Return a name that fits before its row."""
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def _save(page: Image.Image, path: Path) -> None:
    """Write a PNG without a date or other metadata, at once."""
    buffer = io.BytesIO()
    page.save(buffer, format="PNG", optimize=False, compress_level=6)
    write_atomically(path, buffer.getvalue())
