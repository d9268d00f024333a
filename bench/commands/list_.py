"""`bench list`: the names that sweeps and other commands can use."""

from collections.abc import Iterable
from typing import get_args

import click

from bench import registry
from bench.commands import cli, echo, options
from bench.errors import BenchError

KINDS = {f"{kind}s": kind for kind in get_args(registry.Kind)}
LISTED = (*KINDS, "extractors", "rules", "sweeps", "tables", "figures")


@cli.command("list")
@click.argument("what", type=click.Choice(LISTED))
def list_command(what: str) -> None:
    """List what there is, one line each.

    Models are listed with what they can do beyond sampling, and with options of sampling.
    Extractors are the networks of metrics, values of their option `extractor`. Rules are those of
    `bench check`.
    """
    lines = list(_lines(what))
    width = max((len(name) for name, _ in lines), default=0)
    for name, line in lines:
        echo(f"{name:<{width}}  {line}".rstrip())


def _lines(what: str) -> Iterable[tuple[str, str]]:
    if what == "sweeps":
        from bench.spec.sweep_file import find_sweeps, sweep_title

        return [(str(path), sweep_title(path)) for path in find_sweeps(options.sweeps_folder())]
    if what == "extractors":
        from bench.metrics.extractors import EXTRACTORS

        return list(EXTRACTORS.items())
    if what == "rules":
        from bench.conformance.suite import RULES

        return list(RULES.items())
    if what == "tables":
        from bench.reporting.tables.table_spec import load_tables

        return [(name, spec.title) for name, spec in load_tables().items()]
    if what == "figures":
        from bench.reporting.figures.catalog import FIGURES

        return [(name, figure.summary) for name, figure in FIGURES.items()]
    return [
        (name, _summary(KINDS[what], name, registration))
        for name, registration in registry.registered(KINDS[what]).items()
    ]


def _summary(kind: registry.Kind, name: str, registration: registry.Registration) -> str:
    """Return the line of a name, or why it cannot be used."""
    if registration.problem:
        return f"(not usable: {registration.problem})"
    if kind != "model":
        return registration.summary
    from bench.spec.components import sampling_schema

    try:
        can = list(registry.capabilities_of(name))
        schema = sampling_schema(registry.load("model", name))  # type: ignore[arg-type]
        if options := schema.model_fields:
            can.append(f"sampling by {', '.join(options)}")
    except BenchError as error:
        return f"(not usable: {error})"
    return registration.summary + (f" [{', '.join(can)}]" if can else "")
