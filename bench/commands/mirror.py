"""`bench mirror`: CSV files, sample grids and MLflow runs of a sweep, made again."""

import sys
from pathlib import Path

import click

from bench.commands import cli, options
from bench.errors import BenchError


@cli.command("mirror")
@click.argument("sweep")
@options.MLFLOW_URI
@options.RESULTS
def mirror_command(sweep: str, mlflow_uri: str | None, results: Path) -> None:
    """Write the CSV files, sample grids and MLflow runs of a sweep again.

    MLflow gets only what it lacks, so this also catches up after a tracking server failed.
    """
    from bench.record.records import load_records
    from bench.trackers.mirrors import write_mirrors

    records = load_records(results, [sweep])  # an unknown name gets its message here
    if records.origins:
        raise BenchError(f"{results / sweep} is a publication, made from CSV files: nothing to do")
    if not write_mirrors(results / sweep, uri=mlflow_uri):
        sys.exit(1)
