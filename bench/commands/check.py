"""`bench check`: the conformance suite, on one registered model."""

import sys

import click

from bench.commands import cli, echo
from bench.commands.json_output import json_option, print_json


@cli.command("check")
@click.argument("name")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option(
    "--data",
    default="blobs",
    help="Data set, in YAML. Default: 8x8 gray images. Use --data if the model needs others.",
)
@json_option("Findings")
def check_command(name: str, options: tuple[str, ...], data: str, as_json: bool) -> None:
    """Run the conformance suite on a registered model.

    Models of other packages are registered by an entry point. OPTION=VALUE are options of the
    model. The rules are explained in docs/guide/rules.md; `bench list rules` lists them.

    Example: bench check my_model width=0.5 --data '{name: blobs, image_size: 32, channels: 3}'
    """
    from bench.conformance.findings import check_model
    from bench.conformance.suite import RULES
    from bench.spec.located_yaml import parse_component, parse_option

    given = dict(parse_option(option) for option in options)
    component = parse_component(data, "--data")
    width = max(map(len, RULES))
    findings = []
    for found in check_model(name, given, component):
        findings.append(found)
        if as_json:
            continue
        reason = f": {found.text}" if found.outcome == "n/a" else ""
        echo(f"{found.outcome:<4}  {found.rule:<{width}}  {found.sentence}{reason}")
        if found.outcome in ("FAIL", "note"):
            told = "\n".join(filter(None, (found.text, found.place, found.page)))
            echo("      " + told.replace("\n", "\n      "))
    failures = sum(found.outcome == "FAIL" for found in findings)
    if as_json:
        rows = [{**f._asdict(), "sentence": f.sentence, "page": f.page} for f in findings]
        print_json("Findings", rows)
    else:
        left = len(RULES) - len(findings)
        rest = f"; fix this first: {left} more check{'s' * (left > 1)}" if left else ""
        echo(f"{name}: {f'{failures} failed{rest}' if failures else 'conforms'}")
    sys.exit(1 if failures else 0)
