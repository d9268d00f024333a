"""`bench report`: tables of what was measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands import cli, echo, options
from bench.commands.json_output import json_option, print_json
from bench.errors import BenchError, SpecError

if TYPE_CHECKING:
    from bench.reporting.tables.table import ColumnView


@cli.command("report")
@click.argument("sweeps", nargs=-1)
@click.option("--table", "tables", multiple=True, help="A table of `bench list tables`.")
@click.option("--all", "is_all", is_flag=True, help="Every table that these sweeps fill.")
@click.option(
    "--reference",
    metavar="ROW",
    help="Row that the others are compared with: a label, variant or model, or 'none'.  "
    "[default: what the sweep planned, else what tables.yaml says]",
)
@click.option(
    "--compare",
    metavar="COMPARISONS",
    help="Comparisons that are tested and corrected together, instead of those planned in the "
    "sweep: {reference: ROW, references: {ROW: OTHER}, variants: [...], metrics: [...]}.",
)
@click.option("--differences", is_flag=True, help="Show the differences from that row.")
@click.option(
    "--robust",
    is_flag=True,
    help="Show interquartile means, bootstrap intervals and probabilities of improvement.",
)
@click.option(
    "--select",
    "rule",
    default="last",
    help="Which snapshot of a run: last, val-METRIC, the best one on validation images, or "
    "oracle-METRIC, the best one on test images.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Show only this metric; may be repeated.  [default: all of a table]",
)
@click.option(
    "--notes/--no-notes",
    "with_notes",
    default=True,
    show_default=True,
    help="Write notes under tables; --no-notes keeps only what cells mean.",
)
@click.option(
    "--paper", is_flag=True, help="Also show rows and columns reported only in the paper."
)
@click.option("--page", is_flag=True, help="Write everything as one HTML file, report.html.")
@click.option(
    "--variance", is_flag=True, help="Show variance components: training seed against sampling."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv"]),
    default="text",
    help="How tables are printed; they are written in all of these.",
)
@json_option("Report")
@options.add(options.TO, options.RESULTS)
def report_command(
    sweeps: tuple[str, ...],
    tables: tuple[str, ...],
    is_all: bool,
    reference: str | None,
    compare: str | None,
    differences: bool,
    robust: bool,
    rule: str,
    metrics: tuple[str, ...],
    with_notes: bool,
    paper: bool,
    page: bool,
    variance: bool,
    form: str,
    as_json: bool,
    to: Path | None,
    results: Path,
) -> None:
    """Print tables, and write them next to the results.

    SWEEPS are names of folders under the results; the default is all of them. Without a table, a
    summary is printed.

    Example: bench report digits --table 1 --table 2
    """
    from bench.record.files import write_text
    from bench.record.quantities import COST, TIMINGS
    from bench.reporting.render import RENDERERS, SUFFIXES
    from bench.reporting.snapshot_selection import select_snapshots
    from bench.reporting.tables.build import build_table, filled_tables
    from bench.reporting.tables.table_spec import (
        choose_metrics,
        load_tables,
        pick_table,
        unknown_metrics,
    )
    from bench.reporting.variance import variance_table

    records = options.load_results(results, sweeps)
    every = specs = load_tables()
    names = specs["summary"].names
    records = select_snapshots(records, rule, names)
    show: list[ColumnView] = ["difference"] if differences else []
    if robust:
        show += ["iqm", "improvement"]
    if metrics:
        measured = {entry.metric for entry in records.final}
        specs = choose_metrics(specs, metrics, {*measured, *COST, *TIMINGS})
    named = [pick_table(every, name, specs) for name in tables]
    if unknown := unknown_metrics(named, records):
        raise SpecError.all_of(unknown)
    family = options.chosen_comparisons(compare, records)
    compared_with = family.comparisons.reference if family else ""
    if compared_with and reference not in (None, compared_with):
        raise BenchError(f"--reference {reference} is not the reference of --compare {compare}")
    if family and reference in family.comparisons.references:
        raise BenchError(f"--reference {reference} has another reference in --compare {compare}")
    choices: dict[str, Any] = {"reference": reference, "compare": family, "show": show}
    choices["paper"] = paper
    folder = to or (results / sweeps[0] if len(sweeps) == 1 else results)
    is_table_named = bool(tables or is_all or variance)
    filled = []
    if page or is_all:
        filled = filled_tables(specs, records, **choices)
    if page:
        from bench.reporting.page.document import describe_page, render_page
        from bench.reporting.summary import summary_sentences

        whole = build_table(specs["summary"], records, **choices)
        sentences = summary_sentences([whole, *filled], records)
        description = describe_page(records, filled, names, sentences)
        with options.writing_to(folder):
            write_text(folder / "report.html", render_page(description))
        echo(f"written to {folder / 'report.html'}", err=True)
        if not is_table_named and not as_json:
            return
    made = [build_table(spec, records, **choices) for spec in named]
    if is_all:
        made += [table for table in filled if table.name not in tables]
        if left := [name for name in specs if name not in {table.name for table in made}]:
            echo(f"left out, empty or the same as these: {', '.join(left)}", err=True)
    if not is_table_named:
        made = [build_table(specs["summary"], records, **choices)]
    if variance:
        made.append(variance_table(records, names, metrics))
    if not with_notes:
        made = [table.bare for table in made]
    if as_json:
        from bench.output import report

        print_json("Report", report(records, made))
    else:
        for table in made:
            echo(RENDERERS[form](table))
    suffix = "" if rule == "last" else f"-{rule.replace('/', '-')}"
    try:
        with options.writing_to(folder / "tables"):
            for table in made:
                for kind, render in RENDERERS.items():
                    name = f"table-{table.name}{suffix}{SUFFIXES[kind]}"
                    write_text(folder / "tables" / name, render(table))
    except BenchError as problem:  # the tables are on the console
        echo(f"warning: {problem}", err=True)
        return
    echo(f"written to {folder / 'tables'}", err=True)
