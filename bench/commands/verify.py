"""`bench verify` and `bench rerun`: do a run again, in part or in full, and compare."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import (
    DEVICE,
    INCEPTION_WEIGHTS,
    LPIPS_WEIGHTS,
    RESULTS,
    THREADS,
    invocation,
    weight_files,
)

if TYPE_CHECKING:
    from bench.replay.comparison import ReplayReport

TOLERANCE = click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=1e-3,
    show_default=True,
    help="Largest relative deviation that agrees; 0 asks for the same bits.",
)


def _replaying(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that `_replay` takes."""
    for option in (RESULTS, THREADS, DEVICE, LPIPS_WEIGHTS, INCEPTION_WEIGHTS, TOLERANCE):
        command = option(command)
    return command


@click.command()
@click.argument("run")
@click.option(
    "--steps", type=click.IntRange(1), default=1, help="Iterations to do again, at least."
)
@click.option("--figures", is_flag=True, help="Measure the kept weights again as well.")
@_replaying
def verify(run: str, steps: int, figures: bool, **options: Any) -> None:
    """Do the first iterations of runs again, and compare the losses with those on record.

    RUN is SWEEP, SWEEP/VARIANT, SWEEP/ID, the beginning of an id, or the folder of a run. It goes
    on to the first losses on record, and as far as --steps says. The record stays as it is.
    """
    from bench.replay import replay

    _replay(run, partial(replay.verify_run, steps=steps, figures=figures), options)


@click.command()
@click.argument("run")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of what comes out.  [default: reruns, below the results]",
)
@_replaying
def rerun(run: str, into: Path | None, **options: Any) -> None:
    """Do runs again from their records alone, without the sweep file, and compare both.

    RUN is SWEEP, SWEEP/VARIANT, SWEEP/ID, the beginning of an id, or a folder with the config.json
    of a run. The same command continues an interrupted one.
    """
    from bench.replay import replay

    _replay(run, partial(replay.repeat_run, into=into or options["results"] / "reruns"), options)


def _replay(run: str, replay: Callable[..., "ReplayReport"], options: dict[str, Any]) -> None:
    """Print how each run came out, and exit with 1 if one of them differs."""
    from bench.console import say
    from bench.errors import BenchError, Interrupted
    from bench.process.worker import Worker
    from bench.reporting.compare import find_folders

    weights = weight_files(inception=options["inception_weights"], lpips=options["lpips_weights"])
    worker = Worker(
        options["device"],
        command=invocation(click.get_current_context()),
        weights=weights,
        threads=options["threads"],
    )
    folders, tolerance = find_folders(options["results"], run), options["tolerance"]
    differing = 0
    try:
        with worker.stop.listening():
            for folder in folders:
                try:
                    report = replay(folder, worker=worker)
                except BenchError as error:
                    if len(folders) == 1:
                        raise
                    click.echo(f"FAILED   {folder}\n  {error}")
                    differing += 1
                    continue
                click.echo(report.text(tolerance))
                differing += not report.agrees(tolerance)
    except (Interrupted, KeyboardInterrupt):
        say(f"stopped; the same command again: {worker.command}")
        sys.exit(130)
    if len(folders) > 1:
        click.echo(f"{len(folders) - differing} of {len(folders)} runs agree")
    if differing:
        sys.exit(1)
