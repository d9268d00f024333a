"""Shows under each command of gallery.md what it makes of the published results.

Commands with `--results results/published` are done while the documentation is built. A figure that
needs samples or weights was drawn where those are, by the command shown, and lies in that folder.
"""

import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from PIL import Image

from bench.cli import cli

PAGE = "gallery.md"
PUBLISHED = Path("results", "published")
CSS_DPI, PRINTED_DPI = 96, 300
"""Pixels of an inch in a browser and in a PNG: pictures are shown as large as they are printed."""

COMMAND = re.compile(r"^```\n(bench (?:figure|report) .+)\n```$", re.MULTILINE)

shown: dict[str, str] = {}
"""Command -> the Markdown under it."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Do the commands of the page, and add their pictures to the site."""
    page = files.get_file_from_path(PAGE)
    assert page is not None
    for command in COMMAND.findall(page.content_string):
        words = shlex.split(command)[1:]
        if words[0] == "report":
            shown[command] = _table(words)
            continue
        name, sweep = words[1:3]
        with TemporaryDirectory() as folder:
            picture, caption = PUBLISHED / sweep / f"{name}.png", ""
            if "--results" in words:
                _printed([*words, "--to", folder])
                picture = Path(folder, f"{name}.png")
            if picture.with_suffix(".txt").exists():
                caption = picture.with_suffix(".txt").read_text(encoding="utf-8")
            path = f"gallery/{sweep}-{picture.name}"
            with Image.open(picture) as image:
                width = round(image.width * CSS_DPI / PRINTED_DPI)
            files.append(File.generated(config, path, content=picture.read_bytes()))
        image_of = f'![{name}, {sweep}]({path}){{ width="{width}" }}'
        shown[command] = f"{image_of}\n\n{_folded('Caption', _lines(caption))}"
    return files


def on_page_markdown(markdown: str, page: object, **_: object) -> str:
    """Put what commands made under them."""
    return COMMAND.sub(lambda block: f"{block[0]}\n\n{shown.get(block[1], '')}", markdown)


def _table(words: list[str]) -> str:
    """Return the table that a command prints, with its notes folded."""
    with TemporaryDirectory() as folder:
        printed = _printed([*words, "--format", "markdown", "--to", folder])
    table, _, notes = printed.strip().partition("\n\n- ")
    return f"{table}\n\n{_folded('Notes', f'- {notes}' if notes else '')}"


def _printed(words: list[str]) -> str:
    """Return what a command prints."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        cli.main(words, standalone_mode=False)
    return out.getvalue()


def _lines(caption: str) -> str:
    """Return a caption as Markdown that shows every character."""
    return f"```text\n{caption.strip()}\n```" if caption else ""


def _folded(title: str, text: str) -> str:
    return (
        f'<details markdown="1"><summary>{title}</summary>\n\n{text}\n\n</details>' if text else ""
    )
