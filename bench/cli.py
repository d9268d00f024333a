"""The command line: all commands, and how errors are shown."""

import os
import pkgutil
import sys
from importlib import import_module

import click

from bench import commands
from bench.commands import cli
from bench.errors import BenchError, describe_system_error

for module in pkgutil.iter_modules(commands.__path__):  # which add themselves to `cli`
    import_module(f"{commands.__name__}.{module.name}")


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
