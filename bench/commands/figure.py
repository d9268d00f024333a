"""`bench figure`: figures for a paper, from the record."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import DEVICE, RESULTS, THREADS
from bench.errors import BenchError, NotApplicable

if TYPE_CHECKING:
    from bench.process.worker import Worker
    from bench.reporting.figures.catalog import Entry
    from bench.reporting.figures.view import Choice, View


@click.command()
@click.argument("words", nargs=-1, metavar="NAME [SWEEPS]...")
@click.option("--list", "is_list", is_flag=True, help="List the figures, one line each.")
@click.option("--all", "is_all", is_flag=True, help="Make every figure that the record allows.")
@click.option(
    "--variant", "variants", multiple=True, help="Which variant to show; several times for several."
)
@click.option("--seed", type=click.IntRange(0), help="Whose pictures to show.  [default: first]")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Which metric or loss to show; several times for several.",
)
@DEVICE
@THREADS
@RESULTS
def figure(
    words: tuple[str, ...],
    is_list: bool,
    is_all: bool,
    variants: tuple[str, ...],
    seed: int | None,
    metrics: tuple[str, ...],
    device: str,
    threads: int | None,
    results: Path,
) -> None:
    """Draw a figure as PDF and PNG, with its caption as text.

    NAME is the name of a figure, or its number in the paper; SWEEPS are names of folders under the
    results, all of them where none is named. Pictures of codes are made from a run's weights where
    the run has none yet; everything else needs the record alone.
    """
    from bench.reporting.figures.catalog import FIGURES, find_figure

    if is_list:
        for entry in FIGURES.values():
            click.echo(f"{entry.name:<14}  {entry.summary}")
        return
    if not words and not is_all:
        raise BenchError(f"name a figure ({', '.join(FIGURES)}), or give --all")
    chosen = list(FIGURES.values()) if is_all else [find_figure(words[0])]
    sweeps = words if is_all else words[1:]
    from bench.reporting.figures.files import publish
    from bench.reporting.figures.view import Choice

    choice = Choice(variants, seed, metrics)
    views = list(_views(results, sweeps, choice))
    folder = (results / sweeps[0] if len(sweeps) == 1 else results) / "figures"
    worker: Worker | None = None
    drawn = 0
    for entry in chosen:
        for view in views:
            if entry.needs and (missing := list(_unpictured(view, entry))):
                worker = worker or _workplace(device, threads)
                _picture(missing, worker)
            name = entry.name if len(views) == 1 else f"{entry.name}-{view.data}"
            try:
                files = publish(entry, view, folder, _command(entry, sweeps, choice), name)
            except NotApplicable as reason:
                about = f"{entry.name}, {view.data}" if len(views) > 1 else entry.name
                click.echo(f"{about}: not made: {reason}", err=True)
                continue
            drawn += 1
            click.echo(files[-1].read_text(), nl=False)
            click.echo(f"written to {files[0]} and {files[1].name}\n", err=True)
    if not drawn:
        raise BenchError("no figure could be made")


def _views(results: Path, sweeps: Sequence[str], choice: "Choice") -> "Iterator[View]":
    """Yield a view of each data set."""
    from bench.record.records import load_records
    from bench.reporting.figures.view import View

    records = load_records(results, sweeps or None)
    if not records.runs:
        raise BenchError(f"there is nothing in {results} yet; begin with: bench run quickstart")
    for data in dict.fromkeys(run.data for run in records.runs):
        yield View(records, data, choice)


def _unpictured(view: "View", entry: "Entry") -> Iterator[Path]:
    """Yield the folders of runs that are to be shown, have weights, and lack the pictures."""
    for variant in view.everyone and view.variants:
        run, found = view.run_of(variant), view.pictures(variant)
        if run is None or not (run.path / "model.pt").exists():
            continue
        if any(name not in found.arrays and name not in found.missing for name in entry.needs):
            yield run.path


def _workplace(device: str, threads: int | None) -> "Worker":
    from bench.process.worker import Worker

    return Worker(device, threads=threads)


def _picture(folders: Sequence[Path], worker: "Worker") -> None:
    """Make the pictures of runs; one that fails is left out of the figure and costs no other."""
    from bench.evaluation.code_pictures import save_pictures_of

    for folder in folders:
        click.echo(f"making pictures of {folder}", err=True)
        try:
            save_pictures_of(folder, worker)
        except BenchError as error:
            click.echo(f"warning: {error}", err=True)


def _command(entry: "Entry", sweeps: Sequence[str], choice: "Choice") -> str:
    """Return the command that makes one figure."""
    parts = ["bench", "figure", entry.name, *sweeps]
    for option, values in (
        ("--variant", choice.variants),
        ("--seed", () if choice.seed is None else (str(choice.seed),)),
        ("--metric", choice.metrics),
    ):
        for value in values:
            parts += [option, value]
    return shlex.join(parts)
