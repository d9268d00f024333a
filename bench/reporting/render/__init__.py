"""A table as text for the console, Markdown, LaTeX and CSV: the same table, the same bytes."""

from collections.abc import Callable

from bench.reporting.render.csv import render_csv
from bench.reporting.render.latex import render_latex
from bench.reporting.render.markdown import render_markdown
from bench.reporting.render.text import render_text
from bench.reporting.tables.table import Table

RENDERERS: dict[str, Callable[[Table], str]] = {
    "text": render_text,
    "markdown": render_markdown,
    "latex": render_latex,
    "csv": render_csv,
}
SUFFIXES = {"text": ".txt", "markdown": ".md", "latex": ".tex", "csv": ".csv"}
