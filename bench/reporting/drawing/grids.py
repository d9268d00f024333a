"""Pictures of samples, with pixels as they are stored: enlarged by a whole number, not smoothed."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from bench.record.files import write_atomically
from bench.record.pictures import Array
from bench.reporting.drawing.images import enlarge, tile

SEAM = (64, 96, 144)
"""Color of the lines between images: no gray, so that gray images end where they end."""

SIDE = 48
"""Small images are enlarged to at least this side, in pixels."""

GAP = 2
MARGIN = 12
PAGE = 1800
"""Panels that would make a picture wider than this go into the next line."""

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
LABEL_PIXELS = 14
TITLE_PIXELS = 18
LONGEST_LABEL = 18


def save_image_grid(panels: Mapping[str, Array], class_names: Sequence[str], path: Path) -> None:
    """Save samples `uint8` `[K, n, H, W, C]` by title as PNG, side by side, one row per class."""
    for images in panels.values():
        if len(images) != len(class_names):
            raise ValueError(f"{len(class_names)} class names, but images of {len(images)} classes")
    tiles = [tile(enlarge(images, SIDE), GAP, SEAM) for images in panels.values()]
    names = [
        name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
        for name in class_names
    ]
    label, heading = (ImageFont.truetype(str(FONT), size) for size in (LABEL_PIXELS, TITLE_PIXELS))
    left = MARGIN + max(int(label.getlength(name)) for name in names) + MARGIN
    above = TITLE_PIXELS + MARGIN if any(panels) else 0
    lines: list[list[tuple[int, str, Array]]] = []
    right, width = PAGE, 0
    for title, part in zip(panels, tiles, strict=True):
        wide = max(part.shape[1], int(heading.getlength(title)))
        if right + wide > PAGE:
            lines.append([])
            right = left
        lines[-1].append((right, title, part))
        right += wide + 2 * MARGIN
        width = max(width, right - MARGIN)
    heights = [above + max(part.shape[0] for _, _, part in line) + MARGIN for line in lines]
    page = Image.new("RGB", (width, MARGIN + sum(heights)), "white")
    draw = ImageDraw.Draw(page)
    top = MARGIN
    for line, height in zip(lines, heights, strict=True):
        for x, title, part in line:
            draw.text((x, top), title, fill="black", font=heading)
            page.paste(Image.fromarray(part), (x, top + above))
        row_height = line[0][2].shape[0] / len(names)
        for row, name in enumerate(names):
            middle = (left - MARGIN, top + above + round((row + 0.5) * row_height))
            draw.text(middle, name, fill="black", font=label, anchor="rm")
        top += height
    buffer = io.BytesIO()
    page.save(buffer, format="PNG", optimize=False, compress_level=6)
    write_atomically(path, buffer.getvalue())
