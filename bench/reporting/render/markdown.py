"""A table as GitHub's Markdown."""

import re

from bench.reporting.render.headings import headings, row_texts, title_text
from bench.reporting.tables.table import Table


def render_markdown(table: Table) -> str:
    """Return a table as Markdown, with its notes as a list."""
    heads = [_name(" ".join(filter(None, heading))) for heading in headings(table)]
    lines = [f"**{_escaped(title_text(table))}**", ""]
    lines.append("| " + " | ".join(["", *heads]).lstrip() + " |")
    lines.append("|---" + "|---:" * len(heads) + "|")
    for row in table.rows:
        cells = [
            (f"**{text.number}**" if text.is_bold else text.number) + text.rest
            for text in row_texts(row, table)
        ]
        lines.append("| " + " | ".join([_name(row.title), *cells]) + " |")
    lines.append("")
    for note in table.notes:
        command = f" {_code(note.command)}" if note.command else ""
        lines.append(f"- {_escaped(note.text)}{command}")
        lines += [f"  - {_escaped(item)}" for item in note.items]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Return a text on one line in which only backquotes have a meaning."""
    text = re.sub(r"([\\|*_\[\]<>])", r"\\\1", re.sub(r"[^\S ]+", " ", text))
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"^([#+~-])", r"\\\1", text)


def _name(text: str) -> str:
    return _escaped(text).replace("`", r"\`")


def _code(command: str) -> str:
    """Return a command as code, whatever backquotes it has."""
    longest = max(map(len, re.findall("`+", command)), default=0)
    fence, gap = "`" * (longest + 1), " " * bool(longest)
    return fence + gap + re.sub(r"[^\S ]+", " ", command) + gap + fence
