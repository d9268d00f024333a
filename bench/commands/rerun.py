"""`bench rerun`: repeat whole runs from their records and compare."""

import functools
from pathlib import Path
from typing import Unpack

import click

from bench.commands import cli, options
from bench.commands.verify import TOLERANCE, compare_runs


@cli.command("rerun")
@click.argument("run")
@click.option(
    "--into",
    type=options.FOLDER,
    help="Output folder.  [default: reruns, below the results]",
)
@options.add(TOLERANCE, *options.WORKER)
def rerun_command(
    run: str, into: Path | None, tolerance: float, **values: Unpack[options.WorkerOptions]
) -> None:
    """Repeat whole runs from their records and compare.

    Only the records are read, not the sweep file. RUN is SWEEP, SWEEP/VARIANT, SWEEP/ID, the
    beginning of an id, or a folder with the config.json of a run. The same command continues an
    interrupted one.
    """
    from bench.replay import replay
    from bench.spec.reserved_names import RERUNS

    into = into or values["results"] / RERUNS
    compare_runs(run, tolerance, values, functools.partial(replay.repeat_run, into=into))
