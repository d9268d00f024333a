"""What runs have drawn, as plain data: their samples, and whatever `pictures.npz` holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.record.pictures import read_pictures, read_samples
from bench.record.records import Records
from bench.reporting.page.sheets import BUDGET, Array, Packed, Sheet, pack
from bench.reporting.page.variants import Variants

SAMPLES = "samples"
CAPTIONS = {
    SAMPLES: "One row a class, drawn by the trained model; nothing is selected.",
    "reconstruction": "Real test images above, encoded and decoded below.",
    "swaps": "Each image has the relevant code of its row and the irrelevant code of its column.",
    "inpainting": "What the model saw, above what it made of it.",
    "traverse_relevant": "The relevant code varies along a row, the irrelevant one stays.",
    "traverse_classes": "The relevant code moves along a row from one class to the next.",
    "traverse_irrelevant": "The irrelevant code varies along a row, the relevant one stays.",
    "dimensions": "One dimension of the irrelevant code varies along each row.",
}
"""What a picture shows, where its name is known; any other is shown by its name alone."""

ABOVE = {"reconstruction": "originals", "inpainting": "corrupted"}
"""Pictures that are read against another, row by row; that one is not shown for itself."""

POINTS_WIDTH = 480
"""Width of a drawing of points, in pixels."""


@dataclass(frozen=True)
class _Panel:
    """One picture of one run."""

    name: str
    data: str
    variant: int | None
    seed: int | None
    sheet: Sheet
    classes: tuple[str, ...]
    pixels: bool


def describe_pictures(
    records: Records, variants: Variants, budget: int = BUDGET
) -> list[dict[str, Any]]:
    """Return the pictures of all finished runs, each image once.

    Args:
        records: The sweeps to show.
        variants: What pictures are pictures of.
        budget: Most bytes of all images, as base64.

    Returns:
        For each kind of picture and data set its `name`, `title`, `caption`, `notes`, `data`, and
        `panels`, the controls first.

    Raises:
        BenchError: If a file is damaged; names it.
    """
    panels = list(_panels(records, variants))
    packed = pack([panel.sheet for panel in panels], budget)
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    order = sorted(range(len(panels)), key=lambda place: _rank(panels[place], variants))
    for place in order:
        panel, images = panels[place], packed.sheets[place].images
        group = groups.setdefault(
            (panel.name, panel.data),
            {
                "name": panel.name,
                "title": panel.name.replace("_", " ").capitalize(),
                "caption": CAPTIONS.get(panel.name, ""),
                "data": panel.data,
                "notes": [],
                "panels": [],
            },
        )
        rows, columns, height, width, _ = images.shape
        for note in _left_out(panel, packed, place):
            group["notes"] += [note] if note not in group["notes"] else []
        group["panels"].append(
            {
                "variant": panel.variant,
                "seed": panel.seed,
                "rows": rows,
                "columns": columns,
                "size": [columns * width, rows * height],
                "classes": list(panel.classes[:rows]),
                "pixels": panel.pixels,
                "png": packed.files[place],
            }
        )
    return list(groups.values())


def _left_out(panel: _Panel, packed: Packed, place: int) -> Iterator[str]:
    """Yield what a reader must know of a picture that had to be made lighter."""
    whole, kept = panel.sheet.images.shape, packed.sheets[place].images.shape
    if packed.colors and whole[-1] == 3:
        yield "Colors are reduced to 256 a picture, so that the file stays light."
    if kept[1] < whole[1]:
        yield f"{kept[1]} of {whole[1]} images a row are shown, so that the file stays light."
    if kept[0] < whole[0]:
        yield f"{kept[0]} of {whole[0]} rows are shown, so that the file stays light."


def _rank(panel: _Panel, variants: Variants) -> tuple[int, int]:
    """Return where a picture stands: samples first, then as listed; the controls first."""
    known = list(CAPTIONS)
    place = known.index(panel.name) if panel.name in known else len(known)
    return place, len(variants.all) if panel.variant is None else panel.variant


def _panels(records: Records, variants: Variants) -> Iterator[_Panel]:
    """Yield the pictures of all finished runs."""
    for run in records.measured_runs:
        folder, data, seed = run.path, run.data, run.seed
        variant = variants.place(run.sweep, run.variant)
        samples = read_samples(folder)
        if samples and samples.are_images:
            sheet = Sheet(samples.x, cut=True)
            yield _Panel(SAMPLES, data, variant, seed, sheet, samples.names, pixels=True)
        elif samples and (folder / "samples.png").exists():
            drawn = Sheet(_drawing(folder / "samples.png"))
            yield _Panel(SAMPLES, data, variant, seed, drawn, (), pixels=False)
        arrays = read_pictures(folder).arrays
        for name in arrays:
            images = _compose(name, arrays)
            if images is not None:
                yield _Panel(name, data, variant, seed, Sheet(images), (), pixels=True)


def _compose(name: str, arrays: Mapping[str, Array]) -> Array | None:
    """Return a picture as `[rows, columns, H, W, C]`; None for what is none, or part of another."""
    images = arrays[name]
    if not _is_images(images) or name in {ABOVE[it] for it in ABOVE if it in arrays}:
        return None
    table = _table(images)
    above = arrays.get(ABOVE.get(name, ""))
    if above is not None and _is_images(above) and _table(above).shape == table.shape:
        both = np.stack([_table(above), table], axis=1)
        return both.reshape(-1, *table.shape[1:])
    return table


def _is_images(array: Array) -> bool:
    return array.dtype == np.uint8 and array.ndim >= 4 and array.shape[-1] in (1, 3)


def _table(images: Array) -> Array:
    """Return images in rows and columns: the last of the leading axes goes along a row."""
    return images.reshape(-1, *images.shape[-4:])


def _drawing(path: Path) -> Array:
    """Return a drawing of points as a sheet of one image, in the size of the page."""
    with Image.open(path) as page:
        height = round(page.height * POINTS_WIDTH / page.width)
        small = page.convert("RGB").resize((POINTS_WIDTH, height), Image.Resampling.LANCZOS)
    return np.asarray(small)[None, None]
