"""Options that several commands share. Nothing here imports torch before it is needed."""

import shlex
from pathlib import Path

import click
from click.core import ParameterSource

import bench

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
SPEED = click.option(
    "--speed",
    help="How trainings are executed: auto, eager, or some of graphs, autotune, channels_last, "
    "compile with commas in between; cannot change what is learned.  [default: auto]",
)
CHECKPOINT_SECONDS = click.option(
    "--checkpoint-seconds", default=30.0, show_default=True, help="Time between checkpoints."
)
MLFLOW_URI = click.option(
    "--mlflow-uri", envvar="MLFLOW_TRACKING_URI", help="Tracking server or database."
)
NO_MLFLOW = click.option("--no-mlflow", is_flag=True, help="Do not mirror to MLflow.")
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

ALLOW_CODE_CHANGE = click.option(
    "--allow-code-change/--refuse-code-change",
    default=None,
    help="Whether to use results whose code has changed since.  [default: refuse]",
)

PASSING = ("dry_run", "retry_failed", "allow_code_change", "no_mlflow", "mlflow_uri")
"""Options that are for one call, or whose values are nobody's business."""


def invocation(context: click.Context) -> str:
    """Return the command line that does the same again, fit for a shell.

    What was set by environment variables stands in it too; what is the default does not.

    Args:
        context: The call.

    Returns:
        One line.
    """
    words = ["bench", context.info_name or ""]
    options: list[str] = []
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        if isinstance(parameter, click.Argument):
            words += map(str, value if isinstance(value, tuple) else [value])
        elif name not in PASSING and context.get_parameter_source(name) in (
            ParameterSource.COMMANDLINE,
            ParameterSource.ENVIRONMENT,
        ):
            flag = max(parameter.opts, key=len)
            options += [flag] if getattr(parameter, "is_flag", False) else [flag, str(value)]
    return shlex.join([*words, *options])


def weight_files(**files: Path | None) -> dict[str, Path]:
    """Return the files that were given, by network."""
    return {network: path for network, path in files.items() if path is not None}


def find_spec(spec: Path) -> Path:
    """Return the file that a user means: a path, or the name of a sweep that ships with bench."""
    if spec.exists() or spec.suffix:
        return spec
    named = sweeps_folder() / f"{spec}.yaml"
    return named if named.exists() else spec


def sweeps_folder() -> Path:
    """Return `sweeps` here, or the sweeps that ship with bench."""
    here = Path("sweeps")
    if here.is_dir():
        return here
    package = Path(bench.__file__).parent
    return next((p for p in (package / "sweeps", package.parent / "sweeps") if p.is_dir()), here)
