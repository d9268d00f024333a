"""The commands. Each imports what it needs when it runs, so `--help` is instant."""

import click

import bench

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(context_settings=SETTINGS)
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Benchmark and ablate conditional image generators."""
