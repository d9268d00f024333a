"""The command line. Every command imports what it needs when it runs, so `--help` is instant."""

import os
import sys

import click

import bench
from bench.commands.check import check_command
from bench.commands.compare import compare_command
from bench.commands.evaluate import evaluate_command
from bench.commands.export import export_command
from bench.commands.figure import figure_command
from bench.commands.import_ import import_command
from bench.commands.list_ import list_command
from bench.commands.mirror import mirror_command
from bench.commands.perf import perf
from bench.commands.publish import publish_command
from bench.commands.report import report_command
from bench.commands.rerun import rerun_command
from bench.commands.run import run_command
from bench.commands.status import status_command
from bench.commands.tune import tune_command
from bench.commands.verify import verify_command
from bench.errors import BenchError, describe_system_error

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(context_settings=SETTINGS)
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Benchmark and ablate conditional image generators."""


for command in (
    *(check_command, compare_command, evaluate_command, export_command, figure_command),
    *(import_command, list_command, mirror_command, perf, publish_command, report_command),
    *(rerun_command, run_command, status_command, tune_command, verify_command),
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line with the words after `bench`; those of the process where None."""
    _open_streams()
    try:
        words = sys.argv[1:] if arguments is None else arguments
        cli.main(words, obj=words)
    except BenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if (description := describe_system_error(error)) is None:
            raise
        click.echo(f"error: {description}", err=True)
        sys.exit(2)


def _open_streams() -> None:
    """Connect streams that are closed (`2>&-`) to the null device, also for child processes.

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
