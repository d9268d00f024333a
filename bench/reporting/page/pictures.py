"""Pictures of runs as plain data: their samples, and the arrays of `pictures.npz`."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.console import say_left_out
from bench.errors import DamagedRecord
from bench.record.files import read_regular
from bench.record.pictures import Array, are_images, read_pictures, read_samples
from bench.record.records import Records
from bench.record.sweep_folder import RecordedRun
from bench.reporting.grouping import grouped
from bench.reporting.page.sheets import BUDGET, ImageSheet, fit_budget
from bench.reporting.page.variants import PageVariants

SAMPLES = "samples"
CAPTIONS = {
    SAMPLES: "One row per class, drawn by the trained model; nothing is selected.",
    "reconstruction": "Real test images above, encoded and decoded below.",
    "swaps": "Each image has the relevant code of its row and the irrelevant code of its column.",
    "inpainting": "What the model saw, above what it made of it.",
    "traverse_relevant": "The relevant code varies along a row, the irrelevant one stays.",
    "traverse_classes": "The relevant code moves along a row from one class to the next.",
    "traverse_irrelevant": "The irrelevant code varies along a row, the relevant one stays.",
    "dimensions": "One dimension of the irrelevant code varies along each row.",
    "walks": "The code of one attribute moves along a row, from its value 0 to 1 and beyond.",
    "walk_planes": "The codes of two attributes move: one from row to row, one along the rows.",
    "neighbors": "Samples most like copies, above the nearest training and the nearest test image.",
    "subspaces": "The code of one label varies over a plane; the planes are below each other.",
}
"""Captions of pictures by name; any other picture is shown by its name alone."""

ABOVE = {"reconstruction": "originals", "inpainting": "corrupted"}
"""Pictures with the rows of another above theirs; that one is not shown alone."""

POINTS_WIDTH = 480
"""Width of a drawing of points, in pixels."""


@dataclass(frozen=True)
class _Picture:
    """One picture of one run; the pixels of a drawing of points are not those of images."""

    name: str
    run: RecordedRun
    sheet: ImageSheet
    classes: tuple[str, ...] = ()
    is_drawing: bool = False


def describe_pictures(
    records: Records, variants: PageVariants, budget: int = BUDGET
) -> list[dict[str, Any]]:
    """Return the pictures of all measured runs, by kind and data set, in about `budget` bytes."""
    pictures = [picture for run in records.measured_runs for picture in _pictures(run)]
    fitted = fit_budget([picture.sheet for picture in pictures], budget)
    ranks = {name: rank for rank, name in enumerate(CAPTIONS)}
    shown = [
        (picture, sheet, variants.index(picture.run.sweep, picture.run.variant))
        for picture, sheet in zip(pictures, fitted, strict=True)
    ]
    shown.sort(key=lambda item: (ranks.get(item[0].name, len(ranks)), item[2] or 0))
    groups = grouped(((item[0].name, item[0].run.data), item) for item in shown)
    return [
        {
            "name": name,
            "title": name.replace("_", " ").capitalize(),
            "caption": CAPTIONS.get(name, ""),
            "data": data,
            "notes": list(
                dict.fromkeys(n for p, sheet, _ in group for n in _left_out(p.sheet, sheet))
            ),
            "panels": [_panel(*item) for item in group],
        }
        for (name, data), group in groups.items()
    ]


def _panel(picture: _Picture, sheet: ImageSheet, variant: int | None) -> dict[str, Any]:
    rows, columns, height, width, _ = sheet.images.shape
    return {
        "variant": variant,
        "seed": picture.run.seed,
        "rows": rows,
        "columns": columns,
        "size": [columns * width, rows * height],
        "classes": list(picture.classes[:rows]),
        "pixels": not picture.is_drawing,
        "png": sheet.png(),
    }


def _left_out(whole: ImageSheet, shown: ImageSheet) -> Iterator[str]:
    """Yield what a reader must know of a picture that had to be made lighter."""
    before, after = whole.images.shape, shown.images.shape
    if shown.reduced and before[-1] == 3:
        yield "Colors are reduced to 256 a picture, so that the file stays light."
    for axis, what in ((1, "images per row"), (0, "rows")):
        if after[axis] < before[axis]:
            yield f"{after[axis]} of {before[axis]} {what} are shown, so that the file stays light."


def _pictures(run: RecordedRun) -> Iterator[_Picture]:
    samples, drawing = read_samples(run.path), run.path / "samples.png"
    if samples and samples.are_images:
        yield _Picture(SAMPLES, run, ImageSheet(samples.x, cut=True), samples.names)
    elif samples and drawing.exists():
        try:
            sheet = ImageSheet(_read_drawing(drawing))
        except DamagedRecord as problem:
            say_left_out(problem)
        else:
            yield _Picture(SAMPLES, run, sheet, is_drawing=True)
    arrays = read_pictures(run.path).arrays
    images = {name: array for name, array in arrays.items() if are_images(array)}
    for name in images:
        if name not in {ABOVE[below] for below in ABOVE if below in arrays}:
            yield _Picture(name, run, ImageSheet(_compose(name, images)))


def _compose(name: str, images: Mapping[str, Array]) -> Array:
    """Return a picture as `[rows, columns, H, W, C]`, with each row of the one above it."""
    table = _table(images[name])
    above = images.get(ABOVE.get(name, ""))
    if above is None or _table(above).shape != table.shape:
        return table
    return np.stack([_table(above), table], axis=1).reshape(-1, *table.shape[1:])


def _table(images: Array) -> Array:
    """Return images in rows and columns: the last of the leading axes goes along a row."""
    return images.reshape(-1, *images.shape[-4:])


def _read_drawing(path: Path) -> Array:
    """Return a drawing of points as a table of one image, in the size of the page."""
    try:
        with Image.open(io.BytesIO(read_regular(path))) as page:
            height = round(page.height * POINTS_WIDTH / page.width)
            small = page.convert("RGB").resize((POINTS_WIDTH, height), Image.Resampling.LANCZOS)
    except Exception as error:  # a damaged file may raise anything
        raise DamagedRecord(f"{path} is damaged ({error}); delete it") from error
    return np.asarray(small)[None, None]
