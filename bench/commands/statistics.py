"""`bench statistics`: mean and covariance of features as a file, for FID here and elsewhere."""

from pathlib import Path
from typing import Unpack

import click

from bench.commands import cli, echo, options


@cli.command("statistics")
@click.argument("data")
@click.option("--to", "target", type=options.FILE, required=True, help="File to write, NAME.npz.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Split of the data set whose images are taken.  [default: train]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="A folder or .npz of images of that size, as for `bench evaluate`, in place of a split.",
)
@click.option(
    "--extractor",
    default="inception",
    help="The network that gives the features, as for the metric fid.",
)
@options.add(*options.WORKER)
def statistics_command(
    data: str,
    target: Path,
    split: str | None,
    images: Path | None,
    extractor: str,
    **values: Unpack[options.WorkerOptions],
) -> None:
    """Write mu and sigma of the features of images, the statistics that FID compares.

    DATA is a name that `bench list datasets` shows, or YAML as in a sweep. All images of the split
    are taken. The file is read by the metric fid (reference: FILE), by pytorch-fid and the like;
    further arrays say what it was made of.

    Example: bench statistics cifar10 --to cifar10-train.npz
    """
    from bench.evaluation.reference_statistics import write_reference

    worker = options.make_worker(options.typed_command(), values)
    options.refuse_existing(target, "--to")
    with options.writing_to(target):
        for line in write_reference(data, target, worker, split, images, extractor):
            echo(line)
