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
    wrapper = textwrap.TextWrapper(100, break_long_words=False, break_on_hyphens=False)
    caption = "".join(f"{wrapper.fill(note)}\n" for note in notes if note)
    files = {
        folder / f"{name}.pdf": style.render_figure(drawn.figure, "pdf", title, command),
        folder / f"{name}.png": style.render_figure(drawn.figure, "png", title, command),
        folder / f"{name}.txt": caption.encode(),
    }
    for path, content in files.items():
        write_atomically(path, content)
    return list(files)
