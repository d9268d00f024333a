"""The command line. Every command imports what it needs when it runs, so `--help` is instant."""

import os
import sys
from pathlib import Path

import click

import bench
from bench.commands.archive import export, import_
from bench.commands.evaluate import evaluate
from bench.commands.figure import figure
from bench.commands.options import MLFLOW_URI, RESULTS, sweeps_folder
from bench.commands.perf import perf
from bench.commands.report import compare, publish, report
from bench.commands.run import run
from bench.commands.tune import tune
from bench.commands.verify import rerun, verify
from bench.errors import BenchError, machine_trouble

LISTED = (
    "models",
    "datasets",
    "metrics",
    "controls",
    "executors",
    "sweeps",
    "tables",
    "figures",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Benchmark and ablate conditional image generators."""


@cli.command("list")
@click.argument("what", type=click.Choice(LISTED))
def list_(what: str) -> None:
    """List what there is, one line each."""
    from bench import registry

    if what == "sweeps":
        from bench.spec.sweep_file import find_sweeps, summary

        lines = [(str(path), summary(path)) for path in find_sweeps(sweeps_folder())]
    elif what == "tables":
        from bench.reporting.tables.table_spec import load_tables

        lines = [(name, spec.title) for name, spec in load_tables().items()]
    elif what == "figures":
        from bench.reporting.figures.catalog import FIGURES

        lines = [(name, entry.summary) for name, entry in FIGURES.items()]
    else:
        kinds: dict[str, registry.Kind] = {
            "models": "model",
            "datasets": "dataset",
            "metrics": "metric",
            "controls": "control",
            "executors": "executor",
        }
        lines = [
            (name, entry.summary + (f" [{', '.join(entry.can)}]" if entry.can else ""))
            for name, entry in registry.entries(kinds[what]).items()
        ]
    width = max((len(name) for name, _ in lines), default=0)
    for name, line in lines:
        click.echo(f"{name:<{width}}  {line}".rstrip())


@cli.command()
@click.argument("name")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option("--data", default="blobs", show_default=True, help="Data set, in YAML.")
def check(name: str, options: tuple[str, ...], data: str) -> None:
    """Run the conformance suite on a registered model, your own included.

    OPTION=VALUE are options of the model. A model that is made for other images than 8x8 gray ones
    is checked with, for example, --data '{name: blobs, image_size: 32, channels: 3}'.
    """
    from bench.conformance import suite
    from bench.spec.located_yaml import parse_option, parse_value

    given = dict(parse_option(option) for option in options)
    value = parse_value(data, "--data")
    chosen = {"name": value} if isinstance(value, str) else value
    made = failures = 0
    for title, problem in suite.check_model(name, given, chosen):
        made += 1
        click.echo(f"{'ok' if problem is None else 'FAIL':<4}  {title}")
        if problem is not None:
            failures += 1
            click.echo("      " + problem.strip().replace("\n", "\n      "))
    left = len(suite.CHECKS) - made
    rest = f"; the other {left} checks need this one" if left else ""
    click.echo(f"{name}: {f'{failures} failed{rest}' if failures else 'conforms'}")
    sys.exit(1 if failures else 0)


@cli.command()
@click.argument("sweeps", nargs=-1)
@RESULTS
def status(sweeps: tuple[str, ...], results: Path) -> None:
    """Say which runs are done, failed, or still missing."""
    from bench.record.records import load_records
    from bench.reporting.status import status_text

    click.echo(status_text(load_records(results, sweeps or None)))


@cli.command()
@click.argument("sweep")
@RESULTS
@MLFLOW_URI
def mirror(sweep: str, results: Path, mlflow_uri: str | None) -> None:
    """Write the CSV files and MLflow runs of a sweep again, from its rows.

    Only what is missing there is written, so this also catches up after a tracking server failed.
    """
    from bench.record.records import load_records
    from bench.trackers.mirrors import write_mirrors

    records = load_records(results, [sweep])  # an unknown name gets its message here
    if records.origins:
        raise BenchError(f"{results / sweep} is a publication, made from CSV files: nothing to do")
    if not write_mirrors(results / sweep, uri=mlflow_uri):
        sys.exit(1)


COMMANDS = (
    *(compare, evaluate, export, figure, import_, perf, publish, report),
    *(rerun, run, tune, verify),
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: The words after `bench`; those of the process where None.
    """
    _open_streams()
    try:
        words = sys.argv[1:] if arguments is None else arguments
        cli.main(words, obj=words)
    except BenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if (trouble := machine_trouble(error)) is None:
            raise
        click.echo(f"error: {trouble}", err=True)
        sys.exit(2)


def _open_streams() -> None:
    """Give streams that are closed (`2>&-`) to nobody, here and in processes started from here.

    Otherwise the next file that is opened would take the place of stderr.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
