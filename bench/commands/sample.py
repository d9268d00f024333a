"""`bench sample`: the samples of a finished run as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from bench.commands import cli, echo, options

if TYPE_CHECKING:
    from bench.evaluation.sample_files import Format


@cli.command("sample")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to make, or a file NAME.npz.",
)
@click.option(
    "--samples-per-class",
    "per_class",
    type=click.IntRange(1, 10**6),
    metavar="N",
    help="Samples per class.  [default: as many as were measured]",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["png", "npz", "batch"]),
    help="One folder of PNG files per class; one .npz with x and y; or a sample batch, one .npz "
    "with arr_0 and arr_1 for the evaluator of guided-diffusion.  [default: png for images]",
)
@click.option(
    "--snapshot",
    type=click.IntRange(1),
    metavar="STEP",
    help="Iteration of the weights to sample from.  [default: the last]",
)
@options.add(options.SAMPLING, options.SAMPLE_SEED, *options.WORKER)
def sample_command(
    run: Path,
    target: Path,
    per_class: int | None,
    file_format: "Format | None",
    snapshot: int | None,
    sampling: str | None,
    sample_seed: int | None,
    **values: Unpack[options.WorkerOptions],
) -> None:
    """Write the evaluated samples of a finished run to files.

    RUN is the folder of a run, results/SWEEP/ID. Fewer samples than were evaluated are the first
    ones of each class. `bench evaluate` reads them back without a change.

    Example: bench sample results/digits/0123456789ab --to samples
    """
    from bench.evaluation.sample_files import refuse_target, write_samples

    refuse_target(target)
    options.tell_changed_code(run)
    worker = options.make_worker(options.typed_command(), values)
    with options.writing_to(target):
        lines = write_samples(
            run,
            target,
            worker,
            per_class=per_class,
            file_format=file_format,
            sampling=sampling,
            snapshot=snapshot,
            sample_seed=sample_seed,
        )
    for line in lines:
        echo(line)
