"""Numbers for the README, out of `results/published`. `make readme` writes them into it."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean

from bench.record.records import Records, load_records
from bench.reporting.render import RENDERERS
from bench.reporting.render.headings import row_texts
from bench.reporting.tables.build import build_table
from bench.reporting.tables.table_spec import load_tables

PUBLISHED = Path(__file__).parent.parent / "results" / "published"


@cache
def records(sweep: str) -> Records:
    """Return the record of a published sweep."""
    return load_records(PUBLISHED, [sweep])


def table(
    sweep: str,
    name: str,
    form: str = "markdown",
    *,
    metrics: Collection[str] = (),
    leave_out: Collection[str] = (),
) -> str:
    """Return a table of one data set without its title, marks and notes.

    Args:
        sweep: A published one.
        name: Of the table.
        form: `markdown` or `text`.
        metrics: Those to show; all where none is named.
        leave_out: Labels of rows that are not shown; bold stays what it is in the whole table.
    """
    whole = build_table(load_tables()[name], records(sweep))
    shown = [n for n, c in enumerate(whole.columns) if c.metric in metrics or not metrics]
    rows = [
        replace(row, cells=tuple(row.cells[n] for n in shown))
        for row in whole.rows
        if row.label not in leave_out
    ]
    columns = [replace(whole.columns[n], data_title="", mark="") for n in shown]
    part = replace(whole, rows=tuple(rows), columns=tuple(columns), notes=())
    lines = RENDERERS[form](part).split("\n\n", maxsplit=1)[1]
    return lines.strip("\n") + "\n"


def mean(sweep: str, variant: str, metric: str, extractor: str = "") -> float:
    """Return the mean of a metric over the seeds of a variant, as measured by an extractor."""
    final = records(sweep).final
    found = [e for e in final if (e.run.variant, e.metric) == (variant, metric)]
    return fmean(e.value for e in found if extractor in e.protocol)


def side_by_side(metric: str, sweeps: Mapping[str, str], rows: Mapping[str, str]) -> str:
    """Return a Markdown table of one metric: a column for each sweep, a row for each model.

    Args:
        metric: Of several protocols the first is shown, that of the classifier of the data.
        sweeps: Published ones by the headings of their columns.
        rows: What a row is called here, by its label in the sweeps, which may lack it.
    """
    columns = []
    for sweep in sweeps.values():
        whole = build_table(load_tables()["summary"], records(sweep))
        place = next(n for n, column in enumerate(whole.columns) if column.metric == metric)
        texts = {row.label: row_texts(row, whole, with_seeds=False)[place] for row in whole.rows}
        columns.append({label: text.number + text.rest for label, text in texts.items()})
    lines = [["", *sweeps], ["---", *["---:"] * len(sweeps)]]
    lines += [[name, *(c.get(label, "—") for c in columns)] for label, name in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
