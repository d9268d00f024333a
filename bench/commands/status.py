"""`bench status`: how far sweeps are."""

from pathlib import Path

import click

from bench.commands import cli, echo, options
from bench.commands.json_output import json_option, print_json


@cli.command("status")
@click.argument("sweeps", nargs=-1)
@json_option("States")
@options.RESULTS
def status_command(sweeps: tuple[str, ...], as_json: bool, results: Path) -> None:
    """Show which runs are done, failed, or still missing."""
    from bench.record.records import load_records
    from bench.reporting.status import status_text

    records = load_records(results, sweeps or None)
    if as_json:
        from bench.output import sweep_states

        print_json("States", sweep_states(records))
    else:
        echo(status_text(records))
