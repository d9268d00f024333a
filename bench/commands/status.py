"""`bench status`: how far sweeps are."""

from pathlib import Path

import click

from bench.commands import cli, echo, options


@cli.command("status")
@click.argument("sweeps", nargs=-1)
@options.RESULTS
def status_command(sweeps: tuple[str, ...], results: Path) -> None:
    """Show which runs are done, failed, or still missing."""
    from bench.record.records import load_records
    from bench.reporting.status import status_text

    echo(status_text(load_records(results, sweeps or None)))
