"""A figure as files: vector, pixels, and the caption with the command that made it."""

import textwrap
from pathlib import Path

from bench.record.files import write_atomically, write_text
from bench.reporting.figures import style
from bench.reporting.figures.catalog import PaperFigure
from bench.reporting.figures.figure_data import FigureData
from bench.reporting.notes.data_sets import data_notes


def write_figure(
    figure: PaperFigure, data: FigureData, folder: Path, command: str, name: str
) -> list[Path]:
    """Write a figure as PDF and PNG with its caption as text, and the command in all three files.

    Nothing is written where the record does not allow the figure (`NotApplicable`).
    """
    with style.styled():
        drawn = figure.draw(data)
    title = f"{data.names.data.get(data.data, data.data)}: {drawn.title or figure.title}."
    repeats = f"Repeats the form of the paper's Figure {figure.number}." if figure.number else ""
    same_name = [" ".join([n.text, *n.items]) for n in data_notes(data.records, {data.data})]
    notes = [title, repeats, *drawn.notes, *same_name, f"Made by: {command}"]
    wrapper = textwrap.TextWrapper(100, break_long_words=False, break_on_hyphens=False)
    caption = "".join(f"{wrapper.fill(note)}\n" for note in notes if note)
    paths = [folder / f"{name}.{form}" for form in ("pdf", "png", "txt")]
    for path, form in zip(paths, ("pdf", "png"), strict=False):
        write_atomically(path, style.render_figure(drawn.figure, form, title, command))
    write_text(paths[-1], caption)
    return paths
