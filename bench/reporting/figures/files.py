"""A figure as files: vector, pixels, and the caption with the command that made it."""

import textwrap
from pathlib import Path

from bench.record.files import write_atomically
from bench.reporting.figures import style
from bench.reporting.figures.catalog import PaperFigure
from bench.reporting.figures.selection import FigureData


def write_figure(
    figure: PaperFigure, data: FigureData, folder: Path, command: str, name: str
) -> list[Path]:
    """Draw a figure, and write it as PDF and PNG with its caption as text.

    The command that makes it stands in all three files; `name` is theirs, without the ending.
    Nothing is written where the record does not allow the figure (`NotApplicable`).
    """
    with style.styled():
        drawn = figure.draw(data)
    title = f"{data.names.data.get(data.data, data.data)}: {figure.title}."
    repeats = f"Repeats the form of the paper's Figure {figure.number}." if figure.number else ""
    notes = [title, repeats, *drawn.notes, f"Made by: {command}"]
    contents = {
        end: style.render_figure(drawn.figure, end, title, command) for end in ("pdf", "png")
    }
    contents["txt"] = "".join(f"{_fill(note)}\n" for note in notes if note).encode()
    for end, content in contents.items():
        write_atomically(folder / f"{name}.{end}", content)
    return [folder / f"{name}.{end}" for end in contents]


def _fill(note: str) -> str:
    """Return a sentence in lines; protocols stay whole, to be searched for."""
    return textwrap.fill(note, 100, break_long_words=False, break_on_hyphens=False)
