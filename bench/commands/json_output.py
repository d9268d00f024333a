"""The options `--json` and `--json-schema` that commands share, and what prints for them."""

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from bench.commands import echo, options


def json_option(shape: str) -> Callable[[options.Command], options.Command]:
    """Return a decorator that adds `--json`; `shape` names the type of the output."""

    def show(context: click.Context, parameter: click.Parameter, is_given: bool) -> None:
        if is_given and not context.resilient_parsing:
            echo(json.dumps(_adapter(shape).json_schema(mode="serialization"), indent=2))
            context.exit()

    return options.add(
        click.option("--json", "as_json", is_flag=True, help="Print JSON in place of text."),
        click.option(
            "--json-schema",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=show,
            help="Print the JSON schema of --json, and exit.",
        ),
    )


def print_json(shape: str, value: Any) -> None:
    """Print a value of that type, or of plain data for it; what is not finite is null."""
    adapter = _adapter(shape)
    text = adapter.dump_json(adapter.validate_python(value))
    echo(json.dumps(json.loads(text), indent=2))  # in ASCII, which every terminal has


def _adapter(shape: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(getattr(import_module("bench.output"), shape))
