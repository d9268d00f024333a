"""A table as text for the console."""

import textwrap
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest

from bench.reporting.grouping import grouped
from bench.reporting.render.headings import cell_text, heading, title_text
from bench.reporting.tables.table import Row, Table

WIDTH = 100
GAP = "  "
HEAD = 3
"""Lines of a heading: the data set, the quantity, the protocol's mark."""


def render_text(table: Table, width: int = WIDTH) -> str:
    """Return a table for the console; columns that do not fit into the width continue below.

    A block omits rows without a number in it, unless it has no number at all; a row without any
    number appears in the first block. The name of a section is a line above its rows.
    """
    labels = _padded([*[""] * HEAD, *(row.label for row in table.rows)])
    lines = textwrap.wrap(title_text(table), width)
    blocks = _blocks(table, width - len(labels[0]))
    for block in blocks:
        columns = [labels, *_block_columns(table, block)]
        text = [GAP.join(parts).rstrip() for parts in zip(*columns, strict=True)]
        rule = "─" * len(GAP.join(column[0] for column in columns))
        shown = [
            (row.section, text[line])
            for line, row in enumerate(table.rows, start=HEAD)
            if len(blocks) == 1
            or _is_empty(table, block)
            or _is_shown(row, block, is_first=block is blocks[0])
        ]
        lines += ["", *filter(None, text[:HEAD]), rule]
        for section, cells in grouped(shown).items():
            lines += [*(["", *textwrap.wrap(section, width)] if section else []), *cells]
    return "\n".join([*lines, "", *note_lines(table, width)]) + "\n"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose parts are aligned in columns."""
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


def _padded(lines: Sequence[str]) -> list[str]:
    width = max(map(len, lines))
    return [line.ljust(width) for line in lines]


def _block_columns(table: Table, block: Sequence[int]) -> list[list[str]]:
    """Return headings and cells of columns, right-aligned; the first has its whole heading."""
    columns: list[list[str]] = []
    for index in block:
        column = table.columns[index]
        texts = [cell_text(row.cells[index], column) for row in table.rows]
        lead = max([len(text.number) for text in texts], default=0)
        cells = (text.number.rjust(lead) + text.rest + " *" * text.is_bold for text in texts)
        columns.append(_padded([*heading(column, alone=not columns), *cells]))
    return columns


def _is_shown(row: Row, block: Sequence[int], *, is_first: bool) -> bool:
    """Return whether a row has a number in a block; the first one also has rows without any."""
    filled = [index for index, cell in enumerate(row.cells) if cell.mean is not None]
    return bool(set(filled) & set(block)) or (is_first and not filled)


def _is_empty(table: Table, block: Sequence[int]) -> bool:
    """Return whether no row has a number in a block: then all are shown."""
    return not any(row.cells[index].mean is not None for row in table.rows for index in block)


def _blocks(table: Table, room: int) -> list[list[int]]:
    """Return blocks of columns that fit, views beside their quantity where they can."""
    groups: list[list[int]] = []
    for index, column in enumerate(table.columns):
        if column.view == "value":
            groups.append([])
        groups[-1].append(index)

    def fits(block: Sequence[int]) -> bool:
        return sum(len(GAP) + len(column[0]) for column in _block_columns(table, block)) <= room

    blocks: list[list[int]] = [[]]
    for group in groups:
        if blocks[-1] and not fits([*blocks[-1], *group]):
            blocks.append([])
        for index in group:
            if blocks[-1] and not fits([*blocks[-1], index]):
                blocks.append([])
            blocks[-1].append(index)
    return blocks
