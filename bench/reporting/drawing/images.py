"""Tables of images as one picture, enlarged by whole numbers and never smoothed."""

from typing import Any

import numpy as np

from bench.record.pictures import Array

WHITE = (255, 255, 255)


def enlarge(images: Array, side: int) -> Array:
    """Return images `[rows, columns, H, W, C]` whose longer side has at least `side` pixels."""
    scale = -(-side // max(images.shape[2:4]))
    return images.repeat(scale, axis=2).repeat(scale, axis=3)


def tile(
    images: Array, gap: int = 0, color: tuple[int, ...] = WHITE, *, head: bool = False
) -> Array:
    """Return images `uint8` `[rows, columns, H, W, C]` as one picture with the color's channels.

    `gap` pixels of the color separate images; `head` sets the first row and column apart.
    """
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "images must be uint8 [rows, columns, H, W, C] with 1 or 3 channels, "
            f"got {images.dtype} {list(images.shape)}"
        )
    rows, columns, height, width, _ = images.shape
    tops = starts(rows, height, gap, head=head)
    lefts = starts(columns, width, gap, head=head)
    page = np.full((tops[-1] + height, lefts[-1] + width, len(color)), color, dtype=np.uint8)
    for line, top in zip(images, tops, strict=True):
        for image, left in zip(line, lefts, strict=True):
            page[top : top + height, left : left + width] = image
    return page


def starts(count: int, size: Any, gap: Any, *, head: bool = False) -> list[Any]:
    """Return where each of some rows or columns begins; three more gaps set a head apart.

    >>> starts(3, 8, 1, head=True)
    [0, 12, 21]
    """
    return [index * (size + gap) + 3 * gap * (head and index > 0) for index in range(count)]
