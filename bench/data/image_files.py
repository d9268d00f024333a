"""From an image file to a small square: one crop, then one resize.

The resize differs between projects and moves a Fréchet distance, so there is exactly one here.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from bench.errors import BenchError, DataMissing

Crop = Literal["center", "none", "boxes"]
_In = TypeVar("_In")
_Out = TypeVar("_Out")

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the original image."""

_AT_ONCE = 4096
NAMED = 5  # files that a message names
DEPTHS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # of 8 bits a channel or less, no CMYK


def open_image(path: Path, background: str | None = None) -> Image.Image:
    """Return an image file, upright, without transparent pixels; its mode is one of `DEPTHS`.

    Transparent images are laid on the color `background`. A `BenchError` refuses an image that is
    damaged, or that 8-bit gray or RGB could not show as it is.
    """
    try:
        with Image.open(path) as opened:
            mode, frames = opened.mode, getattr(opened, "n_frames", 1)
            if opened.format == "MPO":  # a photograph, followed by previews of it
                frames = 1
            if opened.format == "PNG" and ";16" in str(opened.tile):  # Pillow drops the low bits
                mode = mode if mode == "I;16" else f"{mode} with 16 bits"
            image = ImageOps.exif_transpose(opened)
            rgba = image.convert("RGBA") if image.has_transparency_data else None
    except Exception as error:  # a damaged file may raise anything
        raise BenchError(f"{path}: not a readable image ({error}); mend or remove it") from error
    if mode not in DEPTHS:
        raise BenchError(f"{path}: is of mode {mode}, 8-bit gray or RGB is needed; convert it")
    if frames > 1:
        raise BenchError(f"{path}: has {frames} frames, one is needed; save the one that is meant")
    if rgba is None or np.asarray(rgba)[..., 3].min() == 255:
        return image
    if background is None:
        raise BenchError(
            f"{path}: is transparent in places; what lies behind is not known "
            "(the data set `folder` has the option `background`)"
        )
    return Image.alpha_composite(Image.new("RGBA", rgba.size, background), rgba).convert("RGB")


def decode_image(
    path: Path,
    image_size: int,
    channels: int,
    crop: Crop,
    box: Box | None = None,
    background: str | None = None,
) -> np.ndarray[Any, Any]:
    """Return one image file as a square, `uint8` `[H, W, C]`.

    `center` takes the largest centered square; `none` takes the whole image and `boxes` the box,
    both stretched to a square. The part of a box outside the image is cut off. What is transparent
    is laid on the color `background`.
    """
    image = open_image(path, background).convert("RGB" if channels == 3 else "L")
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
    paths: Sequence[Path],
    image_size: int,
    channels: int,
    crop: Crop,
    boxes: Sequence[Box | None],
    background: str | None = None,
) -> np.ndarray[Any, Any]:
    """Decode many files, several at a time; return `uint8` `[N, H, W, C]` in their order.

    A `BenchError` names those that cannot be used, several at once.
    """
    images = np.empty((len(paths), image_size, image_size, channels), np.uint8)

    def fill(index: int) -> None:
        images[index] = decode_image(
            paths[index], image_size, channels, crop, boxes[index], background
        )

    in_threads(fill, range(len(paths)))
    return images


def describe_images(paths: Sequence[Path]) -> dict[str, Any]:
    """Return formats, modes and sizes of image files, by their heads alone."""

    def head(path: Path) -> tuple[str, str, tuple[int, int], bool]:
        try:
            with Image.open(path) as image:
                turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
                return image.format or "", image.mode, image.size, turned
        except Exception:  # decoding says what is wrong
            return "damaged", "", (0, 0), False

    heads = in_threads(head, paths)
    formats, modes, sizes, turned = (Counter(column) for column in zip(*heads, strict=True))
    widths, heights = zip(*sizes, strict=True)
    return {
        "files": len(paths),
        "formats": dict(formats),
        "modes": dict(modes),
        "sizes": len(sizes),
        "widths": [min(widths), max(widths)],
        "heights": [min(heights), max(heights)],
        "turned_by_exif": turned[True],
    }


def in_threads(function: Callable[[_In], _Out], files: Sequence[_In]) -> list[_Out]:
    """Return what a function gives for each file; Pillow decodes without holding the GIL.

    A `BenchError` has the first problems, a line each, and how many more files have one.
    """
    problems: list[str] = []

    def call(file: _In) -> _Out | None:
        try:
            return function(file)
        except BenchError as error:
            problems.append(str(error))
            return None

    found: list[Any] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _AT_ONCE):  # what waits for a thread takes memory, too
            found += pool.map(call, files[start : start + _AT_ONCE])
    if problems:
        more = [f"and {len(problems) - NAMED} more files"] if len(problems) > NAMED else []
        raise BenchError("\n".join([*sorted(problems)[:NAMED], *more]))
    return found


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
