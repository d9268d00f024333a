"""`bench report`: tables of what was measured; `bench compare`: two rows; `bench publish`: all."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import RESULTS
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.reporting.tables.table import ColumnView

FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv"]),
    default="text",
    show_default=True,
)


@click.command()
@click.argument("sweeps", nargs=-1)
@click.option("--table", "tables", multiple=True, help="Which table: 1, 2, 5, 6, ablation, ...")
@click.option("--all", "every", is_flag=True, help="Every table that these sweeps fill.")
@click.option(
    "--reference",
    metavar="ROW",
    help="Row that the others are compared with: a label, variant or model, or 'none'.  "
    "[default: what tables.yaml says]",
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
    show_default=True,
    help="Which snapshot of a run: last, or val-METRIC, the best one on validation images.",
)
@click.option("--page", is_flag=True, help="Write everything as one HTML file, report.html.")
@click.option("--variance", is_flag=True, help="Split variances by where they come from.")
@FORMAT
@RESULTS
def report(
    sweeps: tuple[str, ...],
    tables: tuple[str, ...],
    every: bool,
    reference: str | None,
    differences: bool,
    robust: bool,
    rule: str,
    page: bool,
    variance: bool,
    form: str,
    results: Path,
) -> None:
    """Print tables, and write them beside the results.

    SWEEPS are names of folders under the results; all of them where none is named.
    """
    from bench.record.files import write_text
    from bench.record.records import load_records
    from bench.reporting.render import RENDERERS, SUFFIXES
    from bench.reporting.snapshot_selection import select_snapshots
    from bench.reporting.tables.build import build_table, filled_tables
    from bench.reporting.tables.table_spec import load_tables, pick_table
    from bench.reporting.variance import variance_table

    records = load_records(results, sweeps or None)
    if not records.runs:
        raise BenchError(f"there is nothing in {results} yet; begin with: bench run quickstart")
    specs = load_tables()
    records = select_snapshots(records, rule, specs["summary"].names)
    show: list[ColumnView] = ["difference"] if differences else []
    if robust:
        show += ["iqm", "improvement"]
    folder = results / sweeps[0] if len(sweeps) == 1 else results
    if page:
        from bench.reporting.page.document import render_page

        text = render_page(records, specs, reference=reference, show=show)
        write_text(folder / "report.html", text)
        click.echo(f"written to {folder / 'report.html'}", err=True)
        if not (tables or every or variance):
            return
    build = partial(build_table, records=records, reference=reference, show=show)
    made = [build(pick_table(specs, name)) for name in tables]
    if every:
        further = filled_tables(specs, records, reference=reference, show=show)
        made += [table for table in further if table.name not in tables]
        if left := [name for name in specs if name not in {table.name for table in made}]:
            click.echo(f"left out, being empty or the same as these: {', '.join(left)}", err=True)
    if not (tables or every or variance):
        made = [build(specs["summary"])]
    if variance:
        made.append(variance_table(records, specs["summary"].names))
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    suffix = "" if rule == "last" else f"-{rule.replace('/', '-')}"
    for table in made:
        click.echo(RENDERERS[form](table))
        for kind, render in RENDERERS.items():
            name = f"table-{table.name}{suffix}{SUFFIXES[kind]}"
            write_text(folder / "tables" / name, render(table))
    click.echo(f"written to {folder / 'tables'}", err=True)


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@RESULTS
def compare(first: str, second: str, results: Path) -> None:
    """Say how two runs or two variants differ, in configuration and in figures.

    A and B are variants, SWEEP/VARIANT, whose seeds are compared in pairs; or runs: SWEEP/ID, the
    folder of a run, or an id or its beginning.
    """
    from bench.record.records import load_records
    from bench.reporting.compare import compare_text, find_runs

    records = load_records(results)
    sides = [find_runs(records, name) for name in (first, second)]
    if shared := set(sides[0].runs) & set(sides[1].runs):
        what = "are the same" if sides[0].runs == sides[1].runs else "overlap"
        raise BenchError(f"{first} and {second} {what}: both have the run {min(shared)[1]}")
    click.echo(compare_text(records, *sides))


@click.command()
@click.argument("sweep")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/published"),
    show_default=True,
    help="Where; the sweep gets a folder of its own there.",
)
@click.option(
    "--figure", "figures", multiple=True, help="A figure to take along; several times for several."
)
@RESULTS
def publish(sweep: str, folder: Path, figures: tuple[str, ...], results: Path) -> None:
    """Write the numbers of a finished sweep and where they came from, for a repository.

    Weights and samples stay out of it. Tables can be made again from what was written: give its
    folder to bench report as --results.
    """
    from bench.exchange.publish import publish_sweep
    from bench.record.records import load_records
    from bench.reporting.tables.table_spec import load_tables

    records = load_records(results, [sweep])
    files = publish_sweep(records, load_tables(), folder / sweep, figures)
    click.echo(f"{len(files)} files written to {folder / sweep}", err=True)
