"""A table as text for the console, as CSV, Markdown and LaTeX. The same table, the same bytes."""

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence

from bench.record.csv_text import to_csv
from bench.reporting.render.headings import cell_text, heading, headings, texts, title_text
from bench.reporting.render.latex import render_latex
from bench.reporting.tables.table import Cell, Row, Table

WIDTH = 100
GAP = "  "
HEAD = 3
"""Lines of a heading: the data set, the metric, the protocol's mark."""


def render_text(table: Table, width: int = WIDTH) -> str:
    """Return a table for the console; columns that do not fit continue below.

    There, and above, a row is left out where it has no number; one without any number stands once.

    Args:
        table: The table.
        width: Longest line, in characters. A single long word or command may be longer.

    Returns:
        Lines, the last one ended.
    """
    labels = max([len(row.label) for row in table.rows], default=0)
    short = [_text_column(table, place) for place in range(len(table.columns))]
    whole = [_text_column(table, place, alone=True) for place in range(len(table.columns))]
    lines = textwrap.wrap(title_text(table), width)
    blocks = _blocks(table, short, whole, width - labels)
    for block in blocks:
        shown = table.rows if len(blocks) == 1 else _told(table.rows, block, block is blocks[0])
        columns = [(short if number else whole)[place] for number, place in enumerate(block)]
        head = [
            GAP.join([" " * labels, *(column[line] for column in columns)]).rstrip()
            for line in range(HEAD)
        ]
        rule = "─" * (labels + sum(len(GAP) + len(column[0]) for column in columns))
        cells = [
            GAP.join([row.label.ljust(labels), *(column[line] for column in columns)]).rstrip()
            for line, row in enumerate(table.rows, start=HEAD)
            if row in shown
        ]
        lines += ["", *filter(None, head), rule, *cells]
    return "\n".join([*lines, "", *note_lines(table, width)]) + "\n"


def note_lines(table: Table, width: int = WIDTH) -> list[str]:
    """Return the notes of a table for the console.

    Args:
        table: The table.
        width: Longest line, in characters.

    Returns:
        Lines, not ended.
    """
    lines = []
    for note in table.notes:
        lines += _wrap(note.text, width, "", "  ")
        for item in note.items:
            lines += _wrap(item, width, "  - ", "    ")
        lines += [f"    {note.command}"] if note.command else []
    return lines


def render_csv(table: Table) -> str:
    """Return a table as CSV, one line a cell, numbers exact; notes and further views are left out.

    Args:
        table: The table.

    Returns:
        Lines with a header.
    """
    lines = [
        [
            *(table.name, row.label, row.sweep, row.variant, column.data, column.metric),
            *(column.protocol, cell.kind, cell.mean, cell.half_width, cell.n or None, cell.target),
            *(getattr(cell.difference, name, None) for name in _DIFFERENCE.values()),
            *(getattr(cell.robust, name, None) for name in _ROBUST),
        ]
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if column.view == "value"
    ]
    return to_csv([*_CSV, *_DIFFERENCE, *_ROBUST], lines)


def render_markdown(table: Table) -> str:
    """Return a table as GitHub's Markdown.

    Args:
        table: The table.

    Returns:
        Lines, the last one ended.
    """
    heads = [" ".join(filter(None, heading)) for heading in headings(table)]
    lines = [f"**{_markdown(title_text(table))}**", ""]
    lines.append("| " + " | ".join(["", *(_markdown(head) for head in heads)]).lstrip() + " |")
    lines.append("|---" + "|---:" * len(heads) + "|")
    for row in table.rows:
        cells = [
            f"**{number}**{rest}" if bold else number + rest
            for number, rest, bold in texts(row, table.columns)
        ]
        lines.append("| " + " | ".join([_markdown(row.label), *cells]) + " |")
    lines.append("")
    for note in table.notes:
        command = f" `{note.command}`" if note.command else ""
        lines.append(f"- {_markdown(note.text)}{command}")
        lines += [f"  - {_markdown(item)}" for item in note.items]
    return "\n".join(lines) + "\n"


RENDERERS: dict[str, Callable[[Table], str]] = {
    "text": render_text,
    "markdown": render_markdown,
    "latex": render_latex,
    "csv": render_csv,
}
SUFFIXES = {"text": ".txt", "markdown": ".md", "latex": ".tex", "csv": ".csv"}

_CSV = (
    *("table", "row", "sweep", "variant", "data", "metric", "protocol"),
    *("kind", "mean", "half_width", "n", "target"),
)
_DIFFERENCE = {
    "reference": "to",
    "difference": "mean",
    "difference_half_width": "half_width",
    "common_seeds": "n",
    "p": "p",
    "p_holm": "adjusted",
    "verdict": "verdict",
}
"""Columns of the CSV, and where their values stand in a difference."""

_ROBUST = ("iqm", "low", "high", "improvement")


def _wrap(text: str, width: int, first: str, rest: str) -> list[str]:
    """Return text in lines, words whole, the first line and the others indented so."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text_column(table: Table, place: int, *, alone: bool = False) -> list[str]:
    """Return a column's heading and cells, equally wide, with the numbers in line."""
    column = table.columns[place]
    printed = [cell_text(row.cells[place], column) for row in table.rows]
    parts = [(number, rest + " *" * bold) for number, rest, bold in printed]
    lead = max([len(number) for number, _ in parts], default=0)
    lines = [
        *heading(table, column, alone=alone),
        *(number.rjust(lead) + rest for number, rest in parts),
    ]
    wide = max(len(line) for line in lines)
    return [line.ljust(wide) for line in lines]


def _told(rows: Sequence[Row], block: Sequence[int], is_first: bool) -> list[Row]:
    """Return the rows with a number in a block; in the first one also those that have none."""

    def tells(cells: Iterable[Cell]) -> bool:
        return any(cell.mean is not None for cell in cells)

    return [
        row
        for row in rows
        if tells(row.cells[place] for place in block) or (is_first and not tells(row.cells))
    ]


def _blocks(
    table: Table, short: Sequence[Sequence[str]], whole: Sequence[Sequence[str]], room: int
) -> list[list[int]]:
    """Return runs of columns that fit into the room side by side; at least one in each.

    The views of a metric stay beside it where they can; the first of a block is headed in whole.
    """
    groups: list[list[int]] = []
    for place, column in enumerate(table.columns):
        if column.view == "value":
            groups.append([])
        groups[-1].append(place)

    def wide(block: Sequence[int]) -> int:
        return sum(
            len(GAP) + len((short if number else whole)[place][0])
            for number, place in enumerate(block)
        )

    blocks: list[list[int]] = [[]]
    for group in groups:
        if blocks[-1] and wide([*blocks[-1], *group]) > room:
            blocks.append([])
        for place in group:
            if blocks[-1] and wide([*blocks[-1], place]) > room:
                blocks.append([])
            blocks[-1].append(place)
    return blocks


def _markdown(text: str) -> str:
    """Return text with the characters escaped that would mean something in a Markdown table."""
    return re.sub(r"([\\|*_\[\]<>])", r"\\\1", text)
