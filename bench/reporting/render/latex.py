# ruff: noqa: RUF001 (Greek letters look like Latin ones)
"""A table as LaTeX, for a paper that loads the package booktabs.

What a cell is stands in the caption, with the number of seeds where it is the same for all cells.
A table that is wider than the text is made smaller if the paper loads graphicx.
"""

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby

from bench.reporting.notes.significance import STARRED
from bench.reporting.notes.table_notes import cell_meaning
from bench.reporting.render.headings import headings, row_texts
from bench.reporting.tables.table import Table

_GREEK = (
    *("αalpha", "βbeta", "γgamma", "δdelta", "εepsilon", "ζzeta", "ηeta", "θtheta", "ιiota"),
    *("κkappa", "λlambda", "μmu", "νnu", "ξxi", "πpi", "ρrho", "σsigma", "τtau", "υupsilon"),
    *("φphi", "χchi", "ψpsi", "ωomega", "ΓGamma", "ΘTheta", "ΛLambda", "ΞXi", "ΠPi", "ΣSigma"),
    *("ΦPhi", "ΨPsi", "ΩOmega", "ΔDelta"),
)

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "→": r"$\to$",
    "±": r"$\pm$",
    "—": "---",
    "`": "",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}
_LATEX |= {letter[0]: rf"$\{letter[1:]}$" for letter in _GREEK}

_UNKNOWN = "«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ"
_FOREIGN = (
    r"[^\x00-\x7e\u00a0-\u017e\u2010-\u2015\u2018\u2019\u201c\u201d\u2020-\u2022\u2026"
    rf"\u2030\u20ac\u2122]|[{_UNKNOWN}]"
)
"""Characters that pdfLaTeX cannot print without further packages and fonts."""


HEAD = 16
"""Most characters of a line of a heading."""

_FITTED = (
    r"\ifdefined\resizebox\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}"
    r"\else\usebox0\fi\else\usebox0\fi"
)


def render_latex(table: Table) -> str:
    """Return a table as a `table` environment, with its notes."""
    seeds = _shared_seeds(table)
    notes = [note for note in table.notes if note.role != "cell"]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(_caption(table, seeds))}}}",
        rf"\label{{{_label(table)}}}",
        r"\smallskip",
        rf"\sbox0{{\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
    ]
    data, *heads = zip(*headings(table), strict=True) if table.columns else ((), ())
    lines += _spanned(data)
    lines += [" & ".join(["", *map(_head, head)]).lstrip() + r" \\" for head in heads if any(head)]
    lines.append(r"\midrule")
    for row in table.rows:
        cells = [
            (rf"\textbf{{{_number(text.number)}}}" if text.is_bold else _number(text.number))
            + _latex(text.rest)
            for text in row_texts(row, table, with_seeds=seeds is None)
        ]
        lines.append(" & ".join([_line(row.title), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}}", _FITTED]
    if notes:
        lines += ["", r"\smallskip", r"{\footnotesize\raggedright"]
    for note in notes:
        command = rf" \texttt{{{_latex(note.command)}}}" if note.command else ""
        lines.append(_latex(note.text) + command + r"\par")
        lines += [rf"\quad {_latex(item)}\par" for item in note.items]
    return "\n".join([*lines, *(["}"] if notes else []), r"\end{table}"]) + "\n"


def _label(table: Table) -> str:
    """Return the label, which names the sweeps of the rows: a paper may show a table of each."""
    sweeps = dict.fromkeys(row.sweep for row in table.rows if row.sweep)
    return "tab:" + re.sub(r"[^A-Za-z0-9]+", "-", "-".join([*sweeps, table.name]))


def _shared_seeds(table: Table) -> int | None:
    """Return the number of seeds of all means, where it is the same and a note speaks of it."""
    numbers = {cell.n for row in table.rows for cell in row.cells if cell.kind == "mean"}
    has_note = cell_meaning(table.rows) in [note.text for note in table.notes]
    return numbers.pop() if len(numbers) == 1 and has_note else None


def _caption(table: Table, seeds: int | None) -> str:
    """Return the title, and the notes on what a cell is."""
    notes = [note.text.replace(STARRED, "") for note in table.notes if note.role == "cell"]
    if seeds is not None:
        meaning = cell_meaning(table.rows)
        notes = [cell_meaning(table.rows, seeds) if note == meaning else note for note in notes]
    return " ".join([table.title + "." * bool(notes), *notes])


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


def _head(title: str) -> str:
    """Return a heading in lines that are about as wide as a number, the arrow with its word."""
    joined = re.sub(r" (\S+)$", "\u00a0\\1", title)
    lines = textwrap.wrap(joined, HEAD, break_long_words=False, break_on_hyphens=False)
    if len(lines) < 2:
        return _latex(title)
    return r"\shortstack[r]{" + r"\\".join(map(_line, lines)) + "}"


def _line(text: str) -> str:
    """Return a text that may follow the end of a line, where LaTeX looks for an option."""
    text = _latex(text)
    return "{}" + text if text.startswith(("[", "*")) else text


def _number(text: str) -> str:
    """Return a number with a minus sign in the place of a hyphen."""
    return re.sub(r"^-(?=\d)", "$-$", _latex(text))


def _latex(text: str) -> str:
    """Return a text that LaTeX prints; what pdfLaTeX cannot, it prints as code points."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    known = "".join(_LATEX.get(c, c) for c in plain)
    return re.sub(f"(?:{_FOREIGN})+", _foreign, known)


def _foreign(found: re.Match[str]) -> str:
    points = " ".join(f"U+{ord(character):04X}" for character in found[0])
    return rf"\ifdefined\Umathcode {found[0]}\else\texttt{{{points}}}\fi{{}}"
