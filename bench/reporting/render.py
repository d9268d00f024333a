"""A table as text for the console, as CSV, Markdown and LaTeX. The same table, the same bytes."""

import re
import textwrap
from collections.abc import Callable, Sequence

from bench.reporting.layout import ARROWS, Column, Row, Table
from bench.tracking.csv import to_csv

WIDTH = 100
GAP = "  "
HEAD = 3
"""Lines of a heading: the data set, the metric, the protocol's mark."""


def render_text(table: Table, width: int = WIDTH) -> str:
    """Return a table for the console; columns that do not fit continue below.

    Args:
        table: The table.
        width: Longest line, in characters. A single long word or command may be longer.

    Returns:
        Lines, the last one ended.
    """
    labels = max([len(row.label) for row in table.rows], default=0)
    columns = [_text_column(table, place) for place in range(len(table.columns))]
    lines = textwrap.wrap(_title(table), width)
    for block in _blocks([len(column[0]) for column in columns], width - labels):
        head = [
            GAP.join([" " * labels, *(columns[place][line] for place in block)]).rstrip()
            for line in range(HEAD)
        ]
        rule = "─" * (labels + sum(len(GAP) + len(columns[place][0]) for place in block))
        cells = [
            GAP.join([row.label.ljust(labels), *(columns[place][line] for place in block)]).rstrip()
            for line, row in enumerate(table.rows, start=HEAD)
        ]
        lines += ["", *filter(None, head), rule, *cells]
    lines.append("")
    for note in table.notes:
        lines += _wrap(note.text, width, "", "  ")
        for item in note.items:
            lines += _wrap(item, width, "  - ", "    ")
        lines += [f"    {note.command}"] if note.command else []
    return "\n".join(lines) + "\n"


def render_csv(table: Table) -> str:
    """Return a table as CSV, one line a cell, numbers exact; notes are left out.

    Args:
        table: The table.

    Returns:
        Lines with a header.
    """
    header = ["table", "row", "sweep", "variant", "data", "metric", "protocol", "kind"]
    return to_csv(
        [*header, "mean", "half_width", "n"],
        (
            [
                *(table.name, row.label, row.sweep, row.variant, column.data, column.metric),
                *(column.protocol, cell.kind, cell.mean, cell.half_width, cell.n or None),
            ]
            for row in table.rows
            for column, cell in zip(table.columns, row.cells, strict=True)
        ),
    )


def render_markdown(table: Table) -> str:
    """Return a table as GitHub's Markdown.

    Args:
        table: The table.

    Returns:
        Lines, the last one ended.
    """
    heads = [" ".join(filter(None, heading)) for heading in _headings(table)]
    lines = [f"**{_markdown(_title(table))}**", ""]
    lines.append("| " + " | ".join(["", *(_markdown(head) for head in heads)]).lstrip() + " |")
    lines.append("|---" + "|---:" * len(heads) + "|")
    for row in table.rows:
        cells = [_markdown(row.label), *_texts(row, table.columns)]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for note in table.notes:
        command = f" `{note.command}`" if note.command else ""
        lines.append(f"- {_markdown(note.text)}{command}")
        lines += [f"  - {_markdown(item)}" for item in note.items]
    return "\n".join(lines) + "\n"


def render_latex(table: Table) -> str:
    """Return a table as LaTeX; it needs the package booktabs.

    Args:
        table: The table.

    Returns:
        A `table` environment.
    """
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
    ]
    lines += [
        " & ".join(["", *(_latex(part) for part in head)]).lstrip() + r" \\"
        for head in zip(*_headings(table), strict=True)
        if any(head)
    ]
    lines.append(r"\midrule")
    for row in table.rows:
        cells = [row.label, *_texts(row, table.columns)]
        lines.append(" & ".join(_latex(cell) for cell in cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\smallskip", r"{\footnotesize\raggedright"]
    for note in table.notes:
        command = rf" \texttt{{{_latex(note.command)}}}" if note.command else ""
        items = "; ".join(_latex(item) for item in note.items)
        lines.append(f"{_latex(note.text)} {items}".rstrip() + command + r"\par")
    return "\n".join([*lines, "}", r"\end{table}"]) + "\n"


RENDERERS: dict[str, Callable[[Table], str]] = {
    "text": render_text,
    "markdown": render_markdown,
    "latex": render_latex,
    "csv": render_csv,
}
SUFFIXES = {"text": ".txt", "markdown": ".md", "latex": ".tex", "csv": ".csv"}

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "—": "---",
    "`": "",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}


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


def _title(table: Table) -> str:
    """Return the title, with the number of the table and the direction of its only metric."""
    arrow = f" ({ARROWS[table.columns[0].direction]})" if _is_single(table) else ""
    title = f"Table {table.name}. {table.title}" if table.name.isdigit() else table.title
    return title + arrow.replace(" ()", "")


def _is_single(table: Table) -> bool:
    """Return whether all columns show one metric, which then stands in the title alone."""
    return len({column.metric for column in table.columns}) == 1


def _headings(table: Table) -> list[tuple[str, str, str]]:
    """Return the heading of each column: data set, metric with direction, protocol's mark."""
    single = _is_single(table)
    headings = []
    for column in table.columns:
        metric = "" if single else f"{column.metric_title} {ARROWS[column.direction]}".strip()
        mark = "paper" if column.paper else column.mark and f"[{column.mark}]"
        headings.append((column.data_title, metric, mark))
    return headings


def _texts(row: Row, columns: Sequence[Column]) -> list[str]:
    """Return the cells of a row as text."""
    pairs = zip(row.cells, columns, strict=True)
    return ["".join(cell.parts(column.decimals, column.scale)) for cell, column in pairs]


def _text_column(table: Table, place: int) -> list[str]:
    """Return a column's heading and cells, equally wide, with the numbers in line."""
    column = table.columns[place]
    parts = [row.cells[place].parts(column.decimals, column.scale) for row in table.rows]
    lead = max([len(number) for number, _ in parts], default=0)
    texts = [*_headings(table)[place], *(number.rjust(lead) + rest for number, rest in parts)]
    wide = max(len(text) for text in texts)
    return [text.ljust(wide) for text in texts]


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return runs of columns that fit into the room side by side; at least one in each."""
    blocks: list[list[int]] = [[]]
    used = 0
    for place, wide in enumerate(widths):
        if blocks[-1] and used + len(GAP) + wide > room:
            blocks.append([])
            used = 0
        blocks[-1].append(place)
        used += len(GAP) + wide
    return blocks


def _markdown(text: str) -> str:
    """Return text with the characters escaped that would mean something in a Markdown table."""
    return re.sub(r"([\\|*_\[\]<>])", r"\\\1", text)


def _latex(text: str) -> str:
    """Return text with the characters escaped that mean something in LaTeX."""
    return "".join(_LATEX.get(character, character) for character in text)
