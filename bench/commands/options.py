"""Options that several commands share. Nothing here imports torch before it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.errors import BenchError

if TYPE_CHECKING:
    import torch

RESULTS = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    envvar="BENCH_RESULTS",
    help="Root folder of all results.",
)
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."
)
THREADS = click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads of a run; by default one for small images, else its share of the cores.",
)
INCEPTION_WEIGHTS = click.option(
    "--inception-weights",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="BENCH_INCEPTION_WEIGHTS",
    help="File of the Inception network, for metrics that ask for it.",
)
LPIPS_WEIGHTS = click.option(
    "--lpips-weights",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="BENCH_LPIPS_WEIGHTS",
    help="File of torchvision's AlexNet, for the LPIPS of reconstructions.",
)


def weight_files(**files: Path | None) -> dict[str, Path]:
    """Return the files that were given, by network."""
    return {network: path for network, path in files.items() if path is not None}


def choose_device(wanted: str) -> "torch.device":
    """Return the device that `--device` names; a `BenchError` says if it is not there."""
    import torch

    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BenchError(f"--device {wanted}: {str(error).splitlines()[0]}") from error
    return device
