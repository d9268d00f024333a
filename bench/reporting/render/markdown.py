"""A table as GitHub's Markdown."""

import re

from bench.reporting.render.headings import headings, row_texts, title_text
from bench.reporting.tables.table import Table


def render_markdown(table: Table) -> str:
    """Return a table as Markdown, with its notes as a list."""
    heads = [_escaped(" ".join(filter(None, heading))) for heading in headings(table)]
    lines = [f"**{_escaped(title_text(table))}**", ""]
    lines.append("| " + " | ".join(["", *heads]).lstrip() + " |")
    lines.append("|---" + "|---:" * len(heads) + "|")
    for row in table.rows:
        cells = [
            (f"**{text.number}**" if text.is_bold else text.number) + text.rest
            for text in row_texts(row, table)
        ]
        lines.append("| " + " | ".join([_escaped(row.label), *cells]) + " |")
    lines.append("")
    for note in table.notes:
        command = f" `{note.command}`" if note.command else ""
        lines.append(f"- {_escaped(note.text)}{command}")
        lines += [f"  - {_escaped(item)}" for item in note.items]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|*_\[\]<>])", r"\\\1", text)
