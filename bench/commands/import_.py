"""`bench import`: a file of `bench export`, merged into the results."""

from pathlib import Path

import click

from bench.commands import cli, echo, options


@cli.command("import")
@click.argument("file", type=options.EXISTING_FILE)
@click.option("--into", metavar="NAME", help="Sweep to merge into.  [default: that of the file]")
@click.option(
    "--accept-programs",
    is_flag=True,
    help="Also import runs measured by networks in files, which are programs.",
)
@options.RESULTS
def import_command(file: Path, into: str | None, accept_programs: bool, results: Path) -> None:
    """Merge a file of `bench export` into the results.

    Runs that are here stay as they are. If one of them has other measurements in the file, nothing
    is imported. Nothing is written before everything in the file has been checked.
    """
    from bench.console import suggest_command
    from bench.exchange.merge import merge_archive
    from bench.trackers.mirrors import write_mirrors

    imported = merge_archive(file, results, into, accept_programs=accept_programs)
    for notice in imported.notices:
        echo(f"note: {notice}", err=True)
    write_mirrors(imported.folder)
    further = imported.measurements
    more = f" (with {further} more measurement{'s' * (further > 1)})" if further else ""
    echo(f"{len(imported.added)} added, {len(imported.kept)} kept{more}, in {imported.folder}")
    commands = [
        suggest_command(results, word, imported.folder.name) for word in ("report", "mirror")
    ]
    echo("{}; for trackers: {}".format(*commands), err=True)
