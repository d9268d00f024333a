# ruff: noqa: RUF001 (characters that look like others are what is tested)
import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from bench.output import table_output
from bench.record.files import csv_text
from bench.record.quantities import Quantity
from bench.reporting.notes.table_notes import cell_meaning, view_notes
from bench.reporting.render import render_csv, render_latex, render_markdown, render_text
from bench.reporting.render.headings import cell_text, heading
from bench.reporting.tables.table import (
    VIEWS,
    Cell,
    Column,
    Difference,
    Note,
    Robust,
    Row,
    Table,
)


def column(name, **rest):
    quantity = Quantity(name, **({"direction": "higher", "decimals": 2} | rest))
    return Column("set", "Set", name, quantity, "p")


@pytest.fixture
def table():
    return Table(
        name="odd",
        title="100 % of a_b & c",
        columns=(column("a_b"), column("x|y", direction="lower", decimals=None)),
        rows=(
            Row("first_row", "s", "v", (Cell("mean", 1 / 3, 0.125, 3), Cell("mean", 12345.6, n=1))),
            Row("2nd", "s", "w", (Cell("inapplicable"), Cell("missing"))),
        ),
        notes=(Note("Mind {this}:", ("one_a", "two"), "bench run a_b.yaml x=~1"),),
    )


def test_text_aligns_the_numbers(table):
    lines = render_text(table).splitlines()
    assert lines[2:] == [
        "           Set              Set",
        "           a_b ↑            x|y ↓",
        "─────────────────────────────────────────",
        "first_row  0.33 ± 0.12 (3)  1.235e+04 (1)",
        "2nd         n/a                     —",
        "",
        "Mind {this}:",
        "  - one_a",
        "  - two",
        "    bench run a_b.yaml x=~1",
    ]


def test_every_view_has_a_title_a_note_and_a_place_in_csv_and_json():
    """A gap is not in CSV, which has its two sides."""
    in_csv = {"value": "mean", "gap": "target", "difference": "difference", "iqm": "iqm"}
    in_csv |= {"improvement": "improvement"}
    assert set(in_csv) == set(VIEWS)
    difference, robust = Difference("base", 0.25, 0.5, 3), Robust(7.0, 6.0, 8.0, 0.75)
    cell = Cell("mean", 5.0, n=3, target=1.0, difference=difference, robust=robust)
    columns = tuple(replace(column("m"), view=view) for view in VIEWS)
    table = Table("t", "T", columns, (Row("row", "s", "v", (cell,) * len(VIEWS)),), ())
    texts = [cell_text(cell, column).number for column in columns]
    assert texts == ["5.00", "+4.00", "+0.25", "7.00", "0.75"]
    assert len({heading(column)[1] for column in columns}) == len(VIEWS)
    assert len(view_notes(VIEWS)) == len(VIEWS) - 1
    (line,) = csv.DictReader(io.StringIO(render_csv(table)))
    assert [float(line[in_csv[view]]) for view in VIEWS] == [5.0, 1.0, 0.25, 7.0, 0.75]
    ((found,),) = (row.cells for row in table_output(table).rows)
    numbers = [found.mean, found.gap, found.difference.mean]
    assert [*numbers, found.robust.iqm, found.robust.improvement] == [5.0, 4.0, 0.25, 7.0, 0.75]


def test_wide_tables_continue_below_with_their_labels(table):
    columns = tuple(column(f"metric number {place}") for place in range(12))
    cells = tuple(Cell("mean", float(place), 0.5, 3) for place in range(12))
    wide = Table("wide", "Wide", columns, (Row("the row", "s", "v", cells),), ())
    lines = render_text(wide).splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line for line in lines if line.startswith("the row")]
    assert len(rows) > 1
    assert re.findall(r"(\d+)\.00", " ".join(rows)) == [str(place) for place in range(12)]


def test_below_and_above_only_rows_with_numbers_are_repeated(table):
    columns = tuple(column(f"metric number {place}") for place in range(12))
    numbers, none = (Cell("mean", 1.0, 0.5, 3),), (Cell("missing"),)
    rows = [("early", numbers * 2 + none * 10), ("late", none * 10 + numbers * 2)]
    rows += [("all", numbers * 12), ("silent", (Cell("inapplicable"),) * 12)]
    made = tuple(Row(label, "s", label, cells) for label, cells in rows)
    lines = render_text(Table("wide", "Wide", columns, made, ())).splitlines()
    labels = [line.split()[0] for line in lines if re.match("early|late|all|silent", line)]
    assert labels[:3] == ["early", "all", "silent"]
    assert labels[-2:] == ["late", "all"]
    assert (labels.count("early"), labels.count("late"), labels.count("silent")) == (1, 1, 1)


def test_csv_is_exact_and_long(table):
    rows = list(csv.DictReader(io.StringIO(render_csv(table))))
    assert len(rows) == 4
    assert float(rows[0]["mean"]) == 1 / 3
    assert (rows[0]["n"], rows[0]["protocol"]) == ("3", "p")
    assert (rows[2]["kind"], rows[2]["mean"], rows[2]["n"]) == ("inapplicable", "", "")


def test_markdown_escapes_what_would_break_a_table(table):
    lines = render_markdown(table).splitlines()
    assert lines[2] == r"| | Set a\_b ↑ | Set x\|y ↓ |"
    assert lines[4] == r"| first\_row | 0.33 ± 0.12 (3) | 1.235e+04 (1) |"
    assert lines[-3] == "- Mind {this}: `bench run a_b.yaml x=~1`"


def test_latex_escapes_every_special_character(table):
    text = render_latex(table)
    assert r"\caption{100 \% of a\_b \& c}" in text
    assert r"first\_row & 0.33 $\pm$ 0.12 (3) & 1.235e+04 (1) \\" in text
    assert r"\texttt{bench run a\_b.yaml x=\textasciitilde{}1}" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert text.isascii()


def uniform(seeds=8):
    """A table as `bench report` builds it: all means over as many seeds, marks and notes."""
    columns = (replace(column("a"), mark="a"), replace(column("b"), mark="b"))
    cells = (Cell("mean", 1.0, 0.25, seeds, bold=True), Cell("mean", 2.0, None, seeds))
    rows = (Row("[first]", "s", "v", cells),)
    bold = Note("Bold, or * in plain text: better.", role="cell")
    notes = (Note(cell_meaning(rows), role="cell"), bold, Note("[a] p"), Note("Further."))
    return Table("t", "Title", columns, rows, notes)


def broad(columns):
    """A table that is wider than a page."""
    of_row = (Cell("mean", 1.0, 0.25, 8),) * columns
    named = tuple(column(f"metric {number}") for number in range(columns))
    return Table("broad", "Broad", named, (Row("row", "s", "v", of_row),), ())


def test_long_headings_of_latex_are_broken_before_the_arrow():
    quantity = Quantity("Class accuracy by [0] *", "higher", 2)
    long = replace(broad(1), columns=(replace(column("a"), quantity=quantity),))
    text = render_latex(long)
    assert r"& \shortstack[r]{Class accuracy\\by [0] * $\uparrow$} \\" in text
    quantity = replace(quantity, title="Class accuracy [0]")
    text = render_latex(replace(long, columns=(replace(column("a"), quantity=quantity),)))
    assert r"\shortstack[r]{Class accuracy\\{}[0] $\uparrow$}" in text


def test_latex_says_the_number_of_seeds_once():
    text = render_latex(uniform())
    meaning = r"Cells: mean $\pm$ half-width of the 95 \% t interval over 8 seeds"
    assert rf"\caption{{Title. {meaning}; a single seed has no interval. Bold: better.}}" in text
    assert r"{}[first] & \textbf{1.00} $\pm$ 0.25 & 2.00 \\" in text
    assert (text.count("Cells: mean"), text.count("Further.")) == (1, 1)
    mixed = uniform()
    [row] = mixed.rows
    other = replace(row, cells=(row.cells[0], replace(row.cells[1], n=3)))
    text = render_latex(replace(mixed, rows=(other,)))
    assert r"\textbf{1.00} $\pm$ 0.25 (8) & 2.00 (3)" in text
    assert "(number of seeds)" in text


def test_a_bare_table_says_what_its_cells_are():
    text = render_latex(uniform().bare)
    assert "Further" not in text
    assert "footnotesize" not in text
    assert "[a]" not in text
    assert "over 8 seeds" in text
    assert render_text(uniform().bare).endswith("interval.\nBold, or * in plain text: better.\n")
    twice = replace(uniform(), columns=(replace(column("a"), mark="a"),) * 2)
    assert "& [a] & [a]" in render_latex(twice.bare)  # nothing else tells these columns apart


def test_a_table_without_columns_is_its_rows_and_notes():
    empty = Table("summary", "All metrics", (), (Row("cVAE", "s", "cvae"),), (Note("Why."),))
    assert render_text(empty).splitlines()[0] == "All metrics"
    for render in (render_csv, render_markdown, render_latex):
        assert render(empty).endswith("\n")


HOSTILE = (
    *("[2pt] first", "*starred", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "αβΩ コード 🙂"),
    *("a`b``c", "<b>&lt;</b>", "# head", "tab\tnew\nline", "ąđŁžšœ ¿¡", "\\end{tabular}", "a\x07b"),
    *("#$%&_{}~^\\", "“quoted” – 1…", "−1 ≠ ∞ → ×²", "|", "\u202etfel", "e\u0301", ""),
)


@pytest.fixture
def hostile():
    rows = tuple(Row(name, "s", name, (Cell("mean", 1.0, None, 1),)) for name in HOSTILE)
    notes = (Note("`a` and [b]", HOSTILE, "bench run 'a`b``c' <x>"), *map(Note, HOSTILE))
    return Table("h/1", HOSTILE[12], (column("c [α] コ"),), rows, notes)


def test_text_in_csv_is_no_formula_and_comes_back(hostile):
    rows = list(csv.DictReader(io.StringIO(render_csv(hostile), newline="")))
    assert not [row["row"] for row in rows if row["row"][:1] in tuple("=+-@\t\r")]
    assert [csv_text(row["row"]) for row in rows] == list(HOSTILE)


def test_hostile_names_stay_in_their_cells_in_markdown(hostile):
    text = render_markdown(hostile)
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == len(HOSTILE) + 2
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert "<b>" not in text
    assert "&lt;" not in text
    assert "``` bench run 'a`b``c' <x> ```" in text


def test_a_row_of_latex_is_no_option_of_the_one_before(hostile):
    assert "\n{}[2pt] first &" in render_latex(hostile)
    assert "\n{}*starred &" in render_latex(hostile)
    assert r"$\alpha$$\beta$$\Omega$" in render_latex(hostile)
    assert r"\label{tab:s-h-1}" in render_latex(hostile)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
@pytest.mark.parametrize("has_graphics", [False, True])
def test_latex_compiles_whatever_the_names_are(hostile, tmp_path, has_graphics):
    if subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).stdout:
        rules = r"\usepackage{booktabs}"
    else:
        rules = r"\newcommand\cmidrule{\cmidrulei}\def\cmidrulei(#1)#2{}"
        rules += "".join(rf"\let\{name}rule\hline" for name in ("top", "mid", "bottom"))
    tall = replace(uniform(), columns=(column("[a] *b ] [c] * d " * 3), column("word " * 9)))
    tables = [hostile, hostile.bare, uniform(), uniform(1).bare, tall, broad(40)]
    packages = r"\usepackage{graphicx}" if has_graphics else ""
    document = r"\documentclass{article}" + packages + rules + r"\begin{document}"
    document += "".join(map(render_latex, tables))
    (tmp_path / "a.tex").write_text(document + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert made.returncode == 0, made.stdout[-3000:]
    too_wide = re.findall(r"Overfull .hbox .(\d+)", made.stdout)
    assert (max(map(int, too_wide), default=0) > 100) != has_graphics
