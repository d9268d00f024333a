"""A table as text for the console."""

import textwrap
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest

from bench.reporting.render.headings import cell_text, heading, title_text
from bench.reporting.tables.table import Row, Table

WIDTH = 100
GAP = "  "
HEAD = 3
"""Lines of a heading: the data set, the quantity, the protocol's mark."""


def render_text(table: Table, width: int = WIDTH) -> str:
    """Return a table for the console, of lines no longer than `width` unless a word is.

    Columns that do not fit continue below. A row is left out where it has no number in a block; one
    without any number stands once.
    """
    labels = max([len(row.label) for row in table.rows], default=0)
    indices = range(len(table.columns))
    short = [_column_lines(table, index) for index in indices]
    whole = [_column_lines(table, index, alone=True) for index in indices]
    lines = textwrap.wrap(title_text(table), width)
    blocks = _blocks(table, short, whole, width - labels)
    for block in blocks:
        columns = [whole[index] if n == 0 else short[index] for n, index in enumerate(block)]
        head = [
            GAP.join([" " * labels, *(column[line] for column in columns)]).rstrip()
            for line in range(HEAD)
        ]
        rule = "─" * (labels + sum(len(GAP) + len(column[0]) for column in columns))
        cells = [
            GAP.join([row.label.ljust(labels), *(column[line] for column in columns)]).rstrip()
            for line, row in enumerate(table.rows, start=HEAD)
            if len(blocks) == 1 or _is_shown(row, block, is_first=block is blocks[0])
        ]
        lines += ["", *filter(None, head), rule, *cells]
    return "\n".join([*lines, "", *note_lines(table, width)]) + "\n"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose parts stand in columns."""
    widths = [max(map(len, column)) for column in zip_longest(*lines, fillvalue="")]
    return [
        GAP.join(part.ljust(width) for part, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    ]


def note_lines(table: Table, width: int = WIDTH) -> list[str]:
    """Return the notes of a table as lines for the console."""
    wrap = partial(textwrap.wrap, width=width, break_long_words=False, break_on_hyphens=False)
    lines = []
    for note in table.notes:
        lines += wrap(note.text, subsequent_indent="  ")
        for item in note.items:
            lines += wrap(item, initial_indent="  - ", subsequent_indent="    ")
        lines += [f"    {note.command}"] if note.command else []
    return lines


def _column_lines(table: Table, index: int, *, alone: bool = False) -> list[str]:
    """Return a column's heading and cells, equally wide, with the numbers right-aligned."""
    column = table.columns[index]
    texts = [cell_text(row.cells[index], column) for row in table.rows]
    lead = max([len(text.number) for text in texts], default=0)
    lines = [
        *heading(table, column, alone=alone),
        *(text.number.rjust(lead) + text.rest + " *" * text.is_bold for text in texts),
    ]
    width = max(len(line) for line in lines)
    return [line.ljust(width) for line in lines]


def _is_shown(row: Row, block: Sequence[int], *, is_first: bool) -> bool:
    """Return whether a row has a number in a block; the first one also has rows without any."""
    filled = [index for index, cell in enumerate(row.cells) if cell.mean is not None]
    return bool(set(filled) & set(block)) or (is_first and not filled)


def _blocks(
    table: Table, short: Sequence[Sequence[str]], whole: Sequence[Sequence[str]], room: int
) -> list[list[int]]:
    """Return blocks of columns that fit side by side, views beside their quantity where they can.

    The first column of a block has its whole heading.
    """
    groups: list[list[int]] = []
    for index, column in enumerate(table.columns):
        if column.view == "value":
            groups.append([])
        groups[-1].append(index)

    def fits(block: Sequence[int]) -> bool:
        lines = [whole[index][0] if n == 0 else short[index][0] for n, index in enumerate(block)]
        return sum(len(GAP) + len(line) for line in lines) <= room

    blocks: list[list[int]] = [[]]
    for group in groups:
        if blocks[-1] and not fits([*blocks[-1], *group]):
            blocks.append([])
        for index in group:
            if blocks[-1] and not fits([*blocks[-1], index]):
                blocks.append([])
            blocks[-1].append(index)
    return blocks
