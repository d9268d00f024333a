"""`bench publish`: the numbers of a sweep and where they came from, as files for a repository."""

from pathlib import Path

import click

from bench.commands import cli, echo, options


@cli.command("publish")
@click.argument("sweep")
@click.option(
    "--to",
    "folder",
    type=options.FOLDER,
    default="results/published",
    help="Output root; writes to DIRECTORY/SWEEP.",
)
@click.option("--figure", "figures", multiple=True, help="A figure to add; may be repeated.")
@click.option("--license", metavar="ID", help="Licence of the results: an SPDX id or an address.")
@options.RESULTS
def publish_command(
    sweep: str, folder: Path, figures: tuple[str, ...], license: str | None, results: Path
) -> None:
    """Write the numbers of a sweep as files for a repository.

    Their provenance is included; weights and samples are not. Tables can be made again from these
    files: give their folder to bench report as --results. ro-crate-metadata.json describes them.
    """
    from bench.console import say
    from bench.exchange.crate import check_license
    from bench.exchange.publish import machine_paths, publish_sweep
    from bench.record.records import load_records
    from bench.reporting.tables.table_spec import load_tables

    license = check_license(license)
    records = load_records(results, [sweep])
    files = publish_sweep(records, load_tables(), folder / sweep, figures, license)
    echo(f"{len(files)} files written to {folder / sweep}", err=True)
    for path, names in machine_paths(files).items():
        say(f"note: {', '.join(names)}: a sweep file or a command named a path of yours, {path}")
