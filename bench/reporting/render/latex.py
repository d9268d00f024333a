"""A table as LaTeX, for a paper that loads the package booktabs."""

import re
from collections.abc import Sequence
from itertools import groupby

from bench.reporting.render.headings import caption_text, headings, row_texts
from bench.reporting.tables.table import Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "—": "---",
    "Δ": r"$\Delta$",
    "`": "",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def render_latex(table: Table) -> str:
    """Return a table as a `table` environment, with its notes."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(caption_text(table))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
    ]
    data, *heads = zip(*headings(table), strict=True) if table.columns else ((), ())
    lines += _spanned(data)
    lines += [" & ".join(["", *map(_latex, head)]).lstrip() + r" \\" for head in heads if any(head)]
    lines.append(r"\midrule")
    for row in table.rows:
        cells = [
            (rf"\textbf{{{_number(text.number)}}}" if text.is_bold else _number(text.number))
            + _latex(text.rest)
            for text in row_texts(row, table)
        ]
        lines.append(" & ".join([_latex(row.label), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\smallskip", r"{\footnotesize\raggedright"]
    for note in table.notes:
        command = rf" \texttt{{{_latex(note.command)}}}" if note.command else ""
        lines.append(_latex(note.text) + command + r"\par")
        lines += [rf"\quad {_latex(item)}\par" for item in note.items]
    return "\n".join([*lines, "}", r"\end{table}"]) + "\n"


def _spanned(titles: Sequence[str]) -> list[str]:
    """Return the first line of a heading, equal neighbors as one, with the rules below it."""
    if not any(titles):
        return []
    cells, rules, last = [""], [], 1
    for title, same in groupby(titles):
        first, last = last + 1, last + len(list(same))
        cells.append(_latex(title))
        if last > first:
            cells[-1] = rf"\multicolumn{{{last - first + 1}}}{{c}}{{{cells[-1]}}}"
            rules.append(rf"\cmidrule(lr){{{first}-{last}}}")
    return [" & ".join(cells).lstrip() + r" \\", *([" ".join(rules)] if rules else [])]


def _number(text: str) -> str:
    """Return a number with a minus sign in the place of a hyphen."""
    return re.sub(r"^-(?=\d)", "$-$", _latex(text))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
