"""`bench figure`: figures for a paper, from the record."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands import cli, echo, options
from bench.errors import BenchError, NotApplicable, UnknownName, describe_system_error

if TYPE_CHECKING:
    from bench.reporting.figures.figure_data import FigureData


@cli.command("figure")
@click.argument("words", nargs=-1, metavar="[NAME] [SWEEP]...")
@click.option(
    "--list", "is_list", is_flag=True, help="List the figures, one per line; takes no arguments."
)
@click.option(
    "--all", "is_all", is_flag=True, help="Draw every possible figure; all arguments are sweeps."
)
@click.option("--variant", "variants", multiple=True, help="A variant to show; may be repeated.")
@click.option(
    "--seed", type=options.SEED, help="Seed whose pictures are shown.  [default: the first]"
)
@click.option(
    "--metric", "metrics", multiple=True, help="A metric or loss to show; may be repeated."
)
@options.add(options.DEVICE, options.THREADS, options.TO, options.RESULTS)
def figure_command(
    words: tuple[str, ...],
    is_list: bool,
    is_all: bool,
    variants: tuple[str, ...],
    seed: int | None,
    metrics: tuple[str, ...],
    device: str,
    threads: int | None,
    to: Path | None,
    results: Path,
) -> None:
    """Draw a figure as PDF and PNG, with its caption.

    NAME is the name of a figure, or its number in the paper. It is left out with --all or --list.
    SWEEP is the name of a folder under the results; the default is all of them. Pictures of codes
    are made from a run's weights if the run has none yet; everything else needs only the record.

    Example: bench figure swaps digits --variant lr_livae --variant ccvae
    """
    from bench.record.data_names import in_file_name
    from bench.reporting.figures.catalog import FIGURES, find_figure

    if is_list:
        for known in FIGURES.values():
            echo(f"{known.name:<{max(map(len, FIGURES))}}  {known.summary}")
        return
    if not words and not is_all:
        raise BenchError(
            f"name a figure ({', '.join(FIGURES)}), then sweeps; with --all, name only sweeps; "
            "--list takes no arguments"
        )
    wanted = list(FIGURES.values()) if is_all else [find_figure(words[0])]
    sweeps = words if is_all else words[1:]
    from bench.reporting.figures.figure_data import FigureData
    from bench.reporting.figures.files import write_figure

    records = options.load_results(results, sweeps)
    seeds = sorted({run.seed for run in records.runs if run.seed is not None})
    if seed is not None and seed not in seeds:
        raise UnknownName("seed", str(seed), map(str, seeds))
    elsewhere = dict.fromkeys(("is_all", "device", "threads", "to"))
    data_sets = dict.fromkeys(run.data for run in records.runs)
    several = len(data_sets) > 1
    folder = to or (results / sweeps[0] if len(sweeps) == 1 else results) / "figures"
    chosen = _choose([FigureData(records, of, variants, seed, metrics) for of in data_sets])
    is_made = False
    unknown: UnknownName | None = None
    for figure in wanted:
        command = options.reproducing_command(words=(figure.name, *sweeps), **elsewhere)
        for data in chosen:
            _make_pictures(data, figure.needs, device, threads)
            name = f"{figure.name}-{in_file_name(data.data)}" if several else figure.name
            try:
                with options.writing_to(folder):
                    files = write_figure(figure, data, folder, command, name)
            except (NotApplicable, UnknownName) as reason:
                if isinstance(reason, UnknownName):  # another data set or figure may know it
                    unknown = unknown or reason
                    if len(wanted) == len(chosen) == 1:
                        break
                about = f"{figure.name}, {data.data}" if several else figure.name
                echo(f"{about}: not made: {str(reason).partition('; known: ')[0]}", err=True)
                continue
            is_made = True
            echo(files[-1].read_text(encoding="utf-8"), nl=False)
            echo(f"written to {files[0]} and {files[1].name}\n", err=True)
    if not is_made:
        raise unknown or BenchError("no figure could be made")


def _choose(every: Sequence["FigureData"]) -> list["FigureData"]:
    """Return the data sets that have a chosen variant, each with those that it has."""
    variants = every[0].named_variants
    names = [{variant.name for variant in data.all_variants} for data in every]
    known = sorted(set().union(*names))
    if known and (missing := [name for name in variants if name not in known]):
        raise UnknownName("variant", missing[0], known)
    if not known or not variants:
        return list(every)
    chosen = []
    for data, of_data in zip(every, names, strict=True):
        there = tuple(name for name in variants if name in of_data)
        if there:
            chosen.append(replace(data, named_variants=there))
        else:
            echo(f"{data.data}: none of the chosen variants is on it", err=True)
    return chosen


def _make_pictures(
    data: "FigureData", needs: Collection[str], device: str, threads: int | None
) -> None:
    """Make the pictures that runs to be shown lack, from their weights, where they have any.

    A run whose pictures fail is left out of the figure and costs no other.
    """
    from bench.record.pictures import read_pictures

    worker = None
    for variant in data.all_variants and data.variants if needs else ():
        if not (run := variant.run) or not (run.path / "model.pt").exists():
            continue
        arrays, missing = read_pictures(run.path)
        if not set(needs) - {*arrays, *missing}:
            continue
        from bench.evaluation.code_pictures import save_pictures_of
        from bench.process.worker import Worker

        worker = worker or Worker(device, threads=threads)
        echo(f"making pictures of {run.path}", err=True)
        try:
            options.tell_changed_code(run.path, refuse=True)
            save_pictures_of(run.path, worker)
        except (BenchError, OSError) as error:
            echo(f"warning: {describe_system_error(error) or error}", err=True)
