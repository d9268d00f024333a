"""`bench verify`: the first iterations of runs done again, and compared."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Unpack

import click

from bench.commands import cli, echo, options
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.replay.comparison import ReplayReport

TOLERANCE = click.option(
    "--tolerance",
    type=options.Finite(),
    default=1e-3,
    help="Largest relative deviation that agrees; 0 asks for the same bits.",
)


@cli.command("verify")
@click.argument("run")
@click.option(
    "--iterations",
    type=click.IntRange(1, 10**9),
    default=1,
    help="Iterations to do again, at least.",
)
@click.option("--measurements", is_flag=True, help="Measure the kept weights again as well.")
@options.add(TOLERANCE, *options.WORKER)
def verify_command(
    run: str,
    iterations: int,
    measurements: bool,
    tolerance: float,
    **values: Unpack[options.WorkerOptions],
) -> None:
    """Do first iterations of runs again, and compare the losses.

    RUN is SWEEP, SWEEP/VARIANT, SWEEP/ID, the beginning of an id, or the folder of a run. It goes
    on to the first losses on record, and as far as --iterations says. The record stays as it is.

    Example: bench verify digits
    """
    from bench.replay import replay

    repeat = functools.partial(replay.verify_run, iterations=iterations, measurements=measurements)
    compare_runs(run, tolerance, values, repeat)


def compare_runs(
    run: str,
    tolerance: float,
    values: options.WorkerOptions,
    repeat: Callable[..., "ReplayReport"],
) -> None:
    """Print the report on each run, and exit with status 1 if one of them differs or fails."""
    from bench.reporting.compare import find_folders

    worker = options.make_worker(options.reproducing_command(), values)
    folders = find_folders(values["results"], run)
    agreeing = 0
    with options.stoppable(worker):
        for folder in folders:
            try:
                report = repeat(folder, worker=worker)
            except BenchError as error:
                if len(folders) == 1:
                    raise
                echo(f"FAILED   {folder}\n  {error}")
                continue
            echo(report.text(tolerance))
            agreeing += report.agrees(tolerance)
    if len(folders) > 1:
        echo(f"{agreeing} of {len(folders)} runs agree")
    if agreeing < len(folders):
        sys.exit(1)
