"""`bench export`: the records of a sweep as one file."""

from pathlib import Path

import click

from bench.commands import cli, echo, options


@cli.command("export")
@click.argument("sweep")
@click.option("--to", "target", type=options.FILE, help="The file.  [default: SWEEP.tar.gz]")
@click.option("--weights", is_flag=True, help="Pack the weights of models too.")
@click.option("--checkpoints", is_flag=True, help="Pack unfinished runs too, with checkpoints.")
@click.option("--license", metavar="ID", help="Licence of the results: an SPDX id or an address.")
@options.RESULTS
def export_command(
    sweep: str,
    target: Path | None,
    weights: bool,
    checkpoints: bool,
    license: str | None,
    results: Path,
) -> None:
    """Pack the records of a sweep into one file.

    `bench import` reads it on another machine. Runs that have not ended are packed only with
    --checkpoints. The classifiers that measured the runs come along, so that what is measured
    there belongs in the same columns. ro-crate-metadata.json describes the files.
    """
    from bench.exchange import archive
    from bench.exchange.crate import check_license

    license = check_license(license)
    folder = archive.find_sweep_folder(results, sweep)
    name = target or Path(f"{folder.resolve().name}.tar.gz")
    options.refuse_existing(name, "--to")
    packed = archive.export_sweep(
        folder, name, weights=weights, checkpoints=checkpoints, license=license
    )
    size = name.stat().st_size / 2**20
    echo(
        f"runs and controls: {packed.runs}, classifiers: {packed.classifiers}, {size:.1f} MiB, "
        f"in {name}"
    )
    if packed.left_out:
        echo(f"left out, unfinished or in use: {', '.join(packed.left_out)}", err=True)
