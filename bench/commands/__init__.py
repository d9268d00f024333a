"""The commands. Each imports what it needs when it runs, so `--help` is instant."""

import click

import bench
from bench.errors import printable

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


def echo(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print a text without control characters; all output of commands goes through here."""
    click.echo(printable(text), nl=nl, err=err)


@click.group(context_settings=SETTINGS)
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Benchmark and ablate conditional image generators."""
