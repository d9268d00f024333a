"""A figure as files: vector, pixels, and the caption with the command that made it."""

import textwrap
from pathlib import Path

from bench.record.files import write_atomically
from bench.reporting.figures.catalog import Entry
from bench.reporting.figures.style import rendered, styled
from bench.reporting.figures.view import View


def publish(entry: Entry, view: View, folder: Path, command: str, name: str) -> list[Path]:
    """Draw a figure, and write it as PDF and PNG with its caption as text.

    Args:
        entry: Which figure.
        view: What it is drawn from.
        folder: Where to; files there are replaced, each at once.
        command: The command that makes it; it stands in all three files.
        name: Of the files, without ending.

    Returns:
        The files.

    Raises:
        NotApplicable: If the record does not allow it; nothing is written then.
    """
    with styled():
        drawn = entry.draw(view)
    data = view.names.data.get(view.data, view.data)
    title = f"{data}: {entry.title}."
    about = {"title": title, "command": command}
    repeats = f"Repeats the form of the paper's Figure {entry.number}." if entry.number else ""
    notes = [title, repeats, *drawn.notes, f"Made by: {command}"]
    caption = "\n".join(_filled(note) for note in notes if note) + "\n"
    contents = {form: rendered(drawn.figure, form, about) for form in ("pdf", "png")}
    contents["txt"] = caption.encode()
    for form, content in contents.items():
        write_atomically(folder / f"{name}.{form}", content)
    return [folder / f"{name}.{form}" for form in contents]


def _filled(note: str) -> str:
    """Return a sentence in lines; protocols stay whole, to be searched for."""
    return textwrap.fill(note, 100, break_long_words=False, break_on_hyphens=False)
