"""`bench verify`: repeat the first iterations of runs and compare."""

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
    help="Largest relative difference; 0 requires bit-identical results.",
)


@cli.command("verify")
@click.argument("run")
@click.option(
    "--iterations",
    type=click.IntRange(1, 10**9),
    default=1,
    help="Repeat at least this many iterations.",
)
@click.option("--measurements", is_flag=True, help="Also measure the stored weights again.")
@options.add(TOLERANCE, *options.WORKER)
def verify_command(
    run: str,
    iterations: int,
    measurements: bool,
    tolerance: float,
    **values: Unpack[options.WorkerOptions],
) -> None:
    """Repeat the first iterations of runs and compare the losses.

    RUN is SWEEP, SWEEP/VARIANT, SWEEP/ID, the beginning of an id, or the folder of a run. It is
    repeated up to the first recorded losses, and at least for --iterations. The record does not
    change.

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
