"""From an image file to a small square: one crop, then one resize.

The resize differs between projects and moves a Fréchet distance, so there is exactly one here.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from bench.errors import BenchError, DataMissing

Crop = Literal["center", "none", "boxes"]
Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the original image."""

_AT_ONCE = 4096
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def decode_image(
    path: Path, image_size: int, channels: int, crop: Crop, box: Box | None = None
) -> np.ndarray[Any, Any]:
    """Return one image file as a square, `uint8` `[H, W, C]`.

    `center` takes the largest centered square; `none` takes the whole image and `boxes` the box,
    both stretched to a square. The part of a box outside the image is cut off.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB" if channels == 3 else "L")
    except UNREADABLE as error:
        raise BenchError(f"{path}: not a readable image ({error}); mend or remove it") from error
    width, height = image.size
    region = (0.0, 0.0, float(width), float(height))
    if crop == "center":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        region = (left, top, left + side, top + side)
    elif box is not None:
        x, y, w, h = box
        region = (max(x, 0), max(y, 0), min(x + w, width), min(y + h, height))
        if region[2] - region[0] < 1 or region[3] - region[1] < 1:
            raise BenchError(f"{path}: box {list(box)} is not inside the {width}x{height} image")
    # Pillow widens the filter with the reduction, so nothing aliases; a plain bilinear resize
    # skips pixels, and the jagged edges it leaves are what a Fréchet distance then measures.
    # Bicubic rather than Lanczos: it rings less, and rings are as visible at 64x64.
    small = image.resize((image_size, image_size), Image.Resampling.BICUBIC, box=region)
    return np.asarray(small).reshape(image_size, image_size, channels)


def decode_images(
    paths: Sequence[Path], image_size: int, channels: int, crop: Crop, boxes: Sequence[Box | None]
) -> np.ndarray[Any, Any]:
    """Decode many files, several at a time; return `uint8` `[N, H, W, C]` in their order."""
    images = np.empty((len(paths), image_size, image_size, channels), np.uint8)

    def fill(index: int) -> None:
        images[index] = decode_image(paths[index], image_size, channels, crop, boxes[index])

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow works without the GIL
        for start in range(0, len(paths), _AT_ONCE):  # what waits for a thread takes memory, too
            for _ in pool.map(fill, range(start, min(start + _AT_ONCE, len(paths)))):
                pass
    return images


def read_boxes(path: Path) -> dict[str, Box]:
    """Return the box of each image of a folder, by its path below the folder, with `/`.

    The file is a CSV file with the columns `path,x,y,w,h` and perhaps a first line of these names,
    or the `bounding_boxes.txt` of CUB-200-2011, which needs the `images.txt` beside it.
    """
    is_cub = path.suffix == ".txt"
    names = {}
    if is_cub:
        names = {key: name for _, (key, name) in _lines(path.with_name("images.txt"), " ", 2)}
    boxes = {}
    for line, (key, *numbers) in _lines(path, " " if is_cub else ",", 5):
        if line == 1 and [key, *numbers] == ["path", "x", "y", "w", "h"]:
            continue
        try:
            x, y, w, h = map(float, numbers)
        except ValueError as error:
            raise BenchError(f"{path}:{line}: x, y, w, h must be numbers, got {numbers}") from error
        boxes[names.get(key, key)] = (x, y, w, h)
    return boxes


def _lines(path: Path, delimiter: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    if not path.is_file():
        raise DataMissing(f"there is no file {path}, which the boxes are read from")
    with path.open(newline="", encoding="utf-8") as file:
        for line, fields in enumerate(csv.reader(file, delimiter=delimiter), start=1):
            if not fields:
                continue
            if len(fields) != columns:
                raise BenchError(f"{path}:{line}: expected {columns} fields, got {fields}")
            yield line, fields
