"""`bench verify`: the first iterations of runs done again, and compared with their record."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from bench.commands import options
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.process.worker import Worker
    from bench.replay.agreement import Verdict

AGREEMENT = (
    click.option(
        "--tolerance",
        type=click.FloatRange(0),
        default=1e-3,
        help="Largest relative deviation that agrees; 0 asks for the same bits.",
    ),
    *options.WORKER,
)
"""How runs are done again, and compared: `AgreementOptions`."""


class AgreementOptions(options.WorkerOptions):
    """The values of the options `AGREEMENT`."""

    tolerance: float


@click.command("verify")
@click.argument("run")
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=1,
    help="Iterations to do again, at least.",
)
@click.option("--figures", is_flag=True, help="Measure the kept weights again as well.")
@options.add(*AGREEMENT)
def verify_command(run: str, steps: int, figures: bool, **values: Unpack[AgreementOptions]) -> None:
    """Do first iterations of runs again, and compare the losses.

    RUN is SWEEP, SWEEP/VARIANT, SWEEP/ID, the beginning of an id, or the folder of a run. It goes
    on to the first losses on record, and as far as --steps says. The record stays as it is.

    Example: bench verify digits
    """
    from bench.replay.verify import verify

    compare_runs(run, values, lambda path, worker: verify(path, worker, steps, figures=figures))


def compare_runs(
    run: str, values: AgreementOptions, compare: Callable[[Path, "Worker"], "Verdict"]
) -> None:
    """Print the verdict on each run, and exit with status 1 if one of them differs or fails."""
    from bench.reporting.compare import find_folders

    worker = options.make_worker(options.reproducing_command(), values)
    folders, tolerance = find_folders(values["results"], run), values["tolerance"]
    agreeing = 0
    with options.stoppable(worker):
        for folder in folders:
            try:
                verdict = compare(folder, worker)
            except BenchError as error:
                if len(folders) == 1:
                    raise
                click.echo(f"FAILED   {folder}\n  {error}")
                continue
            click.echo(verdict.text(tolerance))
            agreeing += verdict.agrees(tolerance)
    if len(folders) > 1:
        click.echo(f"{agreeing} of {len(folders)} runs agree")
    if agreeing < len(folders):
        sys.exit(1)
