"""`bench list`: the names that sweeps and other commands can use."""

import itertools
import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from bench import registry
from bench.commands import cli, echo
from bench.commands.json_output import json_option, print_json
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.output import ListedOption

KINDS = {f"{kind}s": kind for kind in get_args(registry.Kind)}
MOST_COLUMNS = 100  # of a terminal that are used
LISTED = (*KINDS, "extractors", "rules", "sweeps", "tables", "figures")


@cli.command("list")
@click.argument("what", type=click.Choice(LISTED))
@click.argument("name", required=False)
@json_option("Names")
def list_command(what: str, name: str | None, as_json: bool) -> None:
    """List registered models, data sets, metrics, ...; with NAME the options of one of them.

    Models are listed with what they can do beyond sampling, and with their sampling options.
    Extractors are the networks of metrics, values of their option `extractor`. Rules are those of
    `bench check`. Sweeps are ordered by the papers whose experiments they are.
    """
    if name is not None:
        _show_options(what, name, as_json)
        return
    listed = list(_listed(what))
    if as_json:
        print_json("Names", [one._asdict() for one in listed])
        return
    width = max((len(one.name) for one in listed), default=0)
    for one in listed:
        can = f" [{', '.join(one.can)}]" if one.can else ""
        line = f"(not usable: {one.problem})" if one.problem else one.summary + can
        echo(f"{one.name:<{width}}  {line}".rstrip())


def _show_options(what: str, name: str, as_json: bool) -> None:
    """Print one name with its options."""
    from bench.commands.described_options import describe_options

    if what not in KINDS:
        raise click.UsageError(f"{what} have no options, so leave out {name!r}")
    options = describe_options(KINDS[what], name)
    one = _described(KINDS[what], name, registry.registered(KINDS[what])[name])
    if as_json:
        print_json("Names", [one._asdict() | {"options": options}])
        return
    own, of_sampling = (
        [o for o in options if o.of_sampling == sampled] for sampled in (False, True)
    )
    echo(f"{name}: {one.summary}\n\n{'options:' if own else 'no options'}")
    _echo_options(own)
    if of_sampling:
        echo("\nsampling options:")
        _echo_options(of_sampling)


def _echo_options(options: Sequence["ListedOption"]) -> None:
    """Print a paragraph for each option."""
    width = max((len(option.name) for option in options), default=0)
    columns = min(shutil.get_terminal_size((MOST_COLUMNS, 24)).columns, MOST_COLUMNS)
    for option in options:
        facts = [f"one of {', '.join(map(_yaml, option.choices))}"] if option.choices else []
        facts.append("required" if option.is_required else f"default {_yaml(option.default)}")
        text = f"{option.text} ({'; '.join(facts)})".strip()
        indent = f"  {option.name:<{width}}  "
        more = " " * len(indent)
        wrapper = textwrap.TextWrapper(columns, indent, more, break_on_hyphens=False)
        echo(wrapper.fill(text))


def _yaml(value: Any) -> str:
    """Return a value as in a sweep, in one line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


class _Listed(NamedTuple):
    name: str
    summary: str
    can: Sequence[str] = ()
    problem: str = ""


def _listed(what: str) -> Iterable[_Listed]:
    if what == "sweeps":
        from bench.spec.sweep_file import find_sweeps, sweep_heading, sweeps_folders

        found = [(*sweep_heading(path), path) for path in find_sweeps(*sweeps_folders())]
        found.sort(key=lambda one: (not one[0], one[0]))
        return [
            _Listed(str(path), f"{paper}: {title}" if paper else title)
            for paper, title, path in found
        ]
    if what == "extractors":
        from bench.metrics.extractors import EXTRACTORS

        return [_Listed(*extractor) for extractor in EXTRACTORS.items()]
    if what == "rules":
        from bench.conformance.suite import RULES

        return list(itertools.starmap(_Listed, RULES.items()))
    if what == "tables":
        from bench.reporting.tables.table_spec import load_tables

        return [_Listed(name, spec.title) for name, spec in load_tables().items()]
    if what == "figures":
        from bench.reporting.figures.catalog import FIGURES

        return [_Listed(name, figure.summary) for name, figure in FIGURES.items()]
    return [
        _described(KINDS[what], name, registration)
        for name, registration in registry.registered(KINDS[what]).items()
    ]


def _described(kind: registry.Kind, name: str, registration: registry.Registration) -> _Listed:
    """Return a name with what it can do, or why it cannot be used."""
    listed = _Listed(name, registration.summary, problem=registration.problem)
    if kind != "model" or listed.problem:
        return listed
    from bench.spec.components import sampling_schema
    from bench.training.interface import Classifies, Encodes

    abilities = {"encode": Encodes, "classify": Classifies}
    try:
        model = registry.load("model", name)
        can = [word for word, methods in abilities.items() if issubclass(model, methods)]
        can += registry.capabilities_of(name)
        schema = sampling_schema(model)  # type: ignore[arg-type]
    except BenchError as error:
        return listed._replace(problem=str(error))
    options = schema.model_fields
    return listed._replace(
        can=[*can, *([f"sampling options: {', '.join(options)}"] if options else [])]
    )
