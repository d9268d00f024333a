"""`bench mirror`: CSV files, sample grids and trackers of a sweep, brought up to date."""

import sys
from pathlib import Path
from typing import Unpack

import click

from bench.commands import cli, options, tracker_options
from bench.errors import BenchError


@cli.command("mirror")
@click.argument("sweep")
@options.add(*tracker_options.TRACKERS, options.RESULTS)
def mirror_command(
    sweep: str, results: Path, **values: Unpack[tracker_options.TrackerOptions]
) -> None:
    """Write the CSV files and sample grids of a sweep again, and bring trackers up to date.

    A tracker gets only what it lacks, so this also catches up after one failed, or shows a sweep in
    one that was not asked for when it was run.
    """
    from bench.record.records import load_records
    from bench.trackers.mirrors import write_mirrors

    records = load_records(results, [sweep])  # an unknown name gets its message here
    if records.origins:
        raise BenchError(f"{results / sweep} is a publication, made from CSV files: nothing to do")
    if not write_mirrors(results / sweep, tracker_options.make_trackers(values, results)):
        sys.exit(1)
