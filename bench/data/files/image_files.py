"""From an image file to a small square: one crop, then one resize.

The resize differs between projects and moves a Fréchet distance, so there is exactly one here.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps
from PIL.ImageFile import ImageFile as OpenedImage
from pydantic import AfterValidator

from bench.data.files.image_tables import Box, first_problems
from bench.errors import BenchError

Crop = Literal["center", "none", "boxes"]
_In = TypeVar("_In")
_Out = TypeVar("_Out")

Window = tuple[float, float, float, float]
"""Left, upper, right and lower edge in pixels of what is taken of an image."""

_AT_ONCE = 512
QUARTER_TURNS = (5, 6, 7, 8)  # values of the EXIF entry that exchange width and height
DEPTHS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # of 8 bits a channel or less, no CMYK


def _checked_color(color: str) -> str:
    """Return a color; refuse what Pillow knows no color of."""
    try:
        ImageColor.getrgb(color)
    except ValueError as error:
        raise ValueError("must be a color such as white or #808080") from error
    return color


Color = Annotated[str, AfterValidator(_checked_color)]
"""An option: the name of a color, or its hexadecimal digits."""


class Content(NamedTuple):
    """The bytes of an image file, and what it is called in messages."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


ImageFile = Path | Content
"""An image as files hold it."""


class Head(NamedTuple):
    """What the head of an image file says."""

    format: str
    mode: str
    size: tuple[int, int]
    is_turned: bool


def open_image(path: ImageFile, background: str | None = None) -> Image.Image:
    """Return an image file, upright, without transparent pixels; its mode is one of `DEPTHS`.

    Transparent images are laid on the color `background`. A `BenchError` refuses an image that is
    damaged, or that 8-bit gray or RGB could not show as it is.
    """
    try:
        with _opened(path) as opened:
            mode, frames = opened.mode, getattr(opened, "n_frames", 1)
            if opened.format == "MPO":  # a photograph, followed by previews of it
                frames = 1
            if opened.format == "PNG" and ";16" in str(opened.tile):  # Pillow drops the low bits
                mode = mode if mode == "I;16" else f"{mode} with 16 bits"
            image = ImageOps.exif_transpose(opened)
            rgba = image.convert("RGBA") if image.has_transparency_data else None
    except Exception as error:  # a damaged file may raise anything
        raise _unreadable(path, error) from error
    if mode not in DEPTHS:
        raise BenchError(f"{path}: is of mode {mode}, 8-bit gray or RGB is needed; convert it")
    if frames > 1:
        raise BenchError(f"{path}: has {frames} frames, one is needed; save the one that is meant")
    if rgba is None or np.asarray(rgba)[..., 3].min() == 255:
        return image
    if background is None:
        raise BenchError(
            f"{path}: is transparent in places, and what lies behind is not known; data sets of "
            "image files have an option `background` for it"
        )
    return Image.alpha_composite(Image.new("RGBA", rgba.size, background), rgba).convert("RGB")


def decode_image(
    path: ImageFile,
    image_size: int,
    channels: int,
    crop: Crop,
    box: Box | None = None,
    background: str | None = None,
    margin: float = 0.0,
) -> np.ndarray[Any, Any]:
    """Return the window of one image file as a square, `uint8` `[H, W, C]`.

    What is transparent is laid on the color `background`.
    """
    image = open_image(path, background).convert("RGB" if channels == 3 else "L")
    window = crop_window(path, image.size, crop, box, margin)
    # Pillow widens the filter with the reduction, so nothing aliases; a plain bilinear resize
    # skips pixels, and the jagged edges it leaves are what a Fréchet distance then measures.
    # Bicubic rather than Lanczos: it rings less, and rings are as visible at 64x64.
    small = image.resize((image_size, image_size), Image.Resampling.BICUBIC, box=window)
    return np.asarray(small).reshape(image_size, image_size, channels)


def crop_window(
    path: ImageFile, size: tuple[int, int], crop: Crop, box: Box | None = None, margin: float = 0.0
) -> Window:
    """Return what is taken of an image of some width and height, to be stretched to a square.

    `center` takes the largest centered square, `none` the whole image, and `boxes` the box, wider
    by a share `margin` of its sides in each direction. The part outside of the image is cut off.
    """
    width, height = size
    if crop == "center":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side
    if box is None:
        return 0.0, 0.0, float(width), float(height)
    x, y, w, h = box
    if min(x + w, width) - max(x, 0) < 1 or min(y + h, height) - max(y, 0) < 1:
        raise BenchError(f"{path}: box {list(box)} is not inside the {width}x{height} image")
    right, lower = min(x + w + margin * w, width), min(y + h + margin * h, height)
    return max(x - margin * w, 0), max(y - margin * h, 0), right, lower


def decode_images(
    paths: Sequence[Path],
    image_size: int,
    channels: int,
    crop: Crop,
    boxes: Sequence[Box | None],
    background: str | None = None,
    margin: float = 0.0,
) -> np.ndarray[Any, Any]:
    """Decode many files, several at a time; return `uint8` `[N, H, W, C]` in their order.

    A `BenchError` names those that cannot be used, several at once.
    """
    images = np.empty((len(paths), image_size, image_size, channels), np.uint8)

    def fill(index: int) -> None:
        images[index] = decode_image(
            paths[index], image_size, channels, crop, boxes[index], background, margin
        )

    in_threads(fill, range(len(paths)))
    return images


def image_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Return width and height of image files when they are upright, by their heads alone."""

    def size(path: Path) -> tuple[int, int]:
        try:
            with _opened(path) as image:
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
                width, height = image.size
        except Exception as error:  # a damaged file may raise anything
            raise _unreadable(path, error) from error
        return (height, width) if orientation in QUARTER_TURNS else (width, height)

    return in_threads(size, paths)


def image_head(path: ImageFile) -> Head:
    """Return what the head of an image file says; of a damaged one, that it is damaged."""
    try:
        with _opened(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            return Head(image.format or "", image.mode, image.size, turned)
    except Exception:  # decoding says what is wrong
        return Head("damaged", "", (0, 0), False)


def describe_heads(heads: Sequence[Head]) -> dict[str, Any]:
    """Return the counts of formats and modes of image files, and their sizes."""
    formats, modes, sizes, turned = (Counter(column) for column in zip(*heads, strict=True))
    widths, heights = zip(*sizes, strict=True)
    return {
        "files": len(heads),
        "formats": dict(formats),
        "modes": dict(modes),
        "sizes": len(sizes),
        "widths": [min(widths), max(widths)],
        "heights": [min(heights), max(heights)],
        "turned_by_exif": turned[True],
    }


def in_threads(function: Callable[[_In], _Out], files: Iterable[_In]) -> list[_Out]:
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
    waiting = iter(files)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while some := list(islice(waiting, _AT_ONCE)):  # what waits for a thread takes memory, too
            found += pool.map(call, some)
    if problems:
        raise BenchError(first_problems(sorted(problems), "files"))
    return found


def _opened(path: ImageFile) -> OpenedImage:
    return Image.open(BytesIO(path.data) if isinstance(path, Content) else path)


def _unreadable(path: ImageFile, error: Exception) -> BenchError:
    return BenchError(f"{path}: not a readable image ({error}); mend or remove it")
