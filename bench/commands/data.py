"""`bench data`: what a data set contains, before anything is trained on it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands import cli, echo, options
from bench.commands.json_output import json_option, print_json
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.data.base import DataSet

SHOWN = 8  # images of each class in a sheet


@cli.command("data")
@click.argument("name")
@click.option(
    "--sheet", type=options.FILE, help="Draw some images of each class into this PNG file."
)
@json_option("DataOutput")
def data_command(name: str, sheet: Path | None, as_json: bool) -> None:
    """Summarize a data set: counts, sizes, duplicates, skipped files.

    NAME is a name that `bench list datasets` shows, or YAML as in a sweep.

    Example: bench data '{name: folder, path: faces}' --sheet faces.png
    """
    from bench.console import say
    from bench.data.base import load_data
    from bench.data.summary import summarize
    from bench.spec.components import construct, read_component

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise BenchError(f"--sheet {sheet}: a sheet must be a .png file")
    if sheet is not None:
        options.refuse_existing(sheet, "--sheet")
    source = construct("dataset", read_component("dataset", "bench data", name))
    data = load_data(source)
    summary = summarize(data) | {"files": source.describe_files()}
    if as_json:
        print_json("DataOutput", summary)
    else:
        echo("\n".join(_lines(summary)))
    if sheet is not None:
        _draw(data, sheet)
        say(f"written: {sheet}")
    elif data.spec.is_image and not as_json:
        say("for a sheet of its images: --sheet FILE.png")


def _lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a summary."""
    classes, splits = summary["classes"], summary["splits"]
    shape = "x".join(map(str, summary["shape"]))
    low, high = summary["range"]
    yield f"{summary['name']}: {len(classes)} classes, shape {shape}, from {low:.3g} to {high:.3g}"
    rows = [["class", *splits]]
    rows += [[row["name"], *(str(row[split]) for split in splits)] for row in classes]
    rows += [["all", *map(str, splits.values())]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *counts in rows:
        cells = (f"{c:>{w}}" for c, w in zip(counts, widths[1:], strict=True))
        yield "  ".join((f"  {first:<{widths[0]}}", *cells))
    files = dict(summary["files"])
    for names in files.pop("equal_files", [])[:SHOWN]:
        yield f"equal files: {', '.join(names[:SHOWN])}"
    for key, value in files.items():
        if value:
            yield f"{key.replace('_', ' ')}: {_plain(value)}"
    repeated = summary["repeated"]
    yield f"repeated within a split: {_plain(repeated['within'])}"
    yield f"equal across splits: {_plain(repeated['across'])}"
    if summary["near_copies"]:
        yield f"nearly equal to training images: {_plain(summary['near_copies'])}"
    yield f"in several classes: {repeated['classes'] or 'none'}"
    yield from summary["notices"]
    yield f"fingerprint: {summary['fingerprint']}"


def _plain(value: object) -> str:
    """Return counts by name, a range, or a number in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items() if count) or "none"
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def _draw(data: "DataSet", path: Path) -> None:
    """Draw the first training and test images of each class."""
    import torch

    from bench.reporting.drawing.grids import save_image_grid

    spec = data.spec
    if not spec.is_image:
        raise BenchError(f"--sheet needs images; {spec.name} contains points")
    panels = {}
    for title, split in (("train", data.train), ("test", data.test)):
        shown = min(SHOWN, int(torch.bincount(split.y).min()))
        members = [torch.nonzero(split.y == label).flatten() for label in range(spec.classes)]
        images = torch.stack([split.x[indices[:shown]] for indices in members])
        panels[title] = images.permute(0, 1, 3, 4, 2).numpy()
    save_image_grid(panels, spec.class_names, path)
