"""`bench figure`: figures for a paper, from the record."""

import functools
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands import options
from bench.errors import BenchError, NotApplicable

if TYPE_CHECKING:
    from bench.process.worker import Worker
    from bench.reporting.figures.catalog import Entry
    from bench.reporting.figures.view import Choice, View


@click.command("figure")
@click.argument("words", nargs=-1, metavar="NAME [SWEEPS]...")
@click.option("--list", "is_list", is_flag=True, help="List the figures, one line each.")
@click.option("--all", "is_all", is_flag=True, help="Make every figure that the record allows.")
@click.option("--variant", "variants", multiple=True, help="A variant to show; may be repeated.")
@click.option(
    "--seed", type=click.IntRange(0), help="Seed whose pictures are shown.  [default: the first]"
)
@click.option(
    "--metric", "metrics", multiple=True, help="A metric or loss to show; may be repeated."
)
@options.add(options.DEVICE, options.THREADS, options.RESULTS)
def figure_command(
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
    """Draw a figure as PDF and PNG, with its caption.

    NAME is the name of a figure, or its number in the paper; SWEEPS are names of folders under the
    results, all of them where none is named. Pictures of codes are made from a run's weights where
    the run has none yet; everything else needs the record alone.

    Example: bench figure swaps digits --variant lr_livae --variant ccvae
    """
    from bench.reporting.figures.catalog import FIGURES, find_figure

    if is_list:
        for entry in FIGURES.values():
            click.echo(f"{entry.name:<14}  {entry.summary}")
        return
    if not words and not is_all:
        raise BenchError(f"name a figure ({', '.join(FIGURES)}), or give --all")
    entries = list(FIGURES.values()) if is_all else [find_figure(words[0])]
    sweeps = words if is_all else words[1:]
    from bench.reporting.figures.files import publish
    from bench.reporting.figures.view import Choice, View

    @functools.cache
    def worker() -> "Worker":
        from bench.process.worker import Worker  # takes torch, which few figures need

        return Worker(device, threads=threads)

    choice = Choice(variants, seed, metrics)
    records = options.load_results(results, sweeps)
    views = [
        View(records, data, choice) for data in dict.fromkeys(run.data for run in records.runs)
    ]
    folder = (results / sweeps[0] if len(sweeps) == 1 else results) / "figures"
    made = 0
    for entry in entries:
        for view in views:
            if entry.needs:
                _make_pictures(_runs_without_pictures(view, entry), worker)
            is_one = len(views) == 1
            name = entry.name if is_one else f"{entry.name}-{view.data}"
            try:
                files = publish(entry, view, folder, _command(entry, sweeps, choice), name)
            except NotApplicable as reason:
                title = entry.name if is_one else f"{entry.name}, {view.data}"
                click.echo(f"{title}: not made: {reason}", err=True)
                continue
            made += 1
            click.echo(files[-1].read_text(), nl=False)
            click.echo(f"written to {files[0]} and {files[1].name}\n", err=True)
    if not made:
        raise BenchError("no figure could be made")


def _runs_without_pictures(view: "View", entry: "Entry") -> Iterator[Path]:
    """Yield the folders of runs that are to be shown, have weights, and lack the pictures."""
    for variant in view.everyone and view.variants:
        run, pictures = view.run_of(variant), view.pictures(variant)
        if run is None or not (run.path / "model.pt").exists():
            continue
        if any(n not in pictures.arrays and n not in pictures.missing for n in entry.needs):
            yield run.path


def _make_pictures(folders: Iterable[Path], worker: Callable[[], "Worker"]) -> None:
    """Make the pictures of runs; one that fails is left out of the figure and costs no other."""
    for folder in folders:
        from bench.evaluation.code_pictures import save_pictures_of

        click.echo(f"making pictures of {folder}", err=True)
        try:
            save_pictures_of(folder, worker())
        except BenchError as error:
            click.echo(f"warning: {error}", err=True)


def _command(entry: "Entry", sweeps: Sequence[str], choice: "Choice") -> str:
    """Return the command that makes one figure."""
    options = [("--variant", variant) for variant in choice.variants]
    options += [("--seed", str(choice.seed))] if choice.seed is not None else []
    options += [("--metric", metric) for metric in choice.metrics]
    words = [word for option in options for word in option]
    return shlex.join(["bench", "figure", entry.name, *sweeps, *words])
