"""A figure as files: vector, pixels, and the caption with the command that made it."""

import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.record.files import write_atomically, write_text
from bench.reporting.drawing import style
from bench.reporting.figures.catalog import PaperFigure
from bench.reporting.figures.figure_data import FigureData
from bench.reporting.notes.data_sets import data_notes

FORMS = ("pdf", "png")


def write_figure(
    figure: PaperFigure, data: FigureData, folder: Path, command: str, name: str
) -> list[Path]:
    """Write a figure as PDF and PNG with its caption as text, and the command in all three files.

    Nothing is written where the record does not allow the figure (`NotApplicable`).
    """
    lacking: list[str] = []
    with style.styled(), _collecting_lost_characters(lacking):
        drawn = figure.draw(data)
        title = f"{data.names.data.get(data.data, data.data)}: {drawn.title or figure.title}."
        contents = [style.render_figure(drawn.figure, form, title, command) for form in FORMS]
    repeats = f"Repeats the form of the paper's Figure {figure.number}." if figure.number else ""
    boxes = f"Boxes stand for what the font lacks: {' '.join(lacking)}." if lacking else ""
    same_name = [" ".join([n.text, *n.items]) for n in data_notes(data.records, {data.data})]
    notes = [title, repeats, *drawn.notes, boxes, *same_name, f"Made by: {command}"]
    wrapper = textwrap.TextWrapper(100, break_long_words=False, break_on_hyphens=False)
    caption = "".join(f"{wrapper.fill(note)}\n" for note in notes if note)
    paths = [folder / f"{name}.{form}" for form in (*FORMS, "txt")]
    for path, content in zip(paths, contents, strict=False):
        write_atomically(path, content)
    write_text(paths[-1], caption)
    return paths


@contextmanager
def _collecting_lost_characters(found: list[str]) -> Iterator[None]:
    """Collect the characters that matplotlib warns of, which its font lacks, instead of warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if match := re.match(r"Glyph (\d+) .*missing from", str(warning.message)):
            found += {chr(int(match[1]))} - {*found}
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
