"""`bench check`: the conformance suite, on one registered model."""

import sys

import click

from bench.commands import cli, echo


@cli.command("check")
@click.argument("name")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option("--data", default="blobs", help="Data set, in YAML.")
def check_command(name: str, options: tuple[str, ...], data: str) -> None:
    """Run the conformance suite on a registered model.

    Models of other packages are registered by an entry point. OPTION=VALUE are options of the
    model. A model for other images than 8x8 gray ones is checked on such images.

    Example: bench check my_model width=0.5 --data '{name: blobs, image_size: 32, channels: 3}'
    """
    from bench.conformance.findings import check_model
    from bench.conformance.suite import CHECKS
    from bench.spec.located_yaml import parse_component, parse_option

    given = dict(parse_option(option) for option in options)
    component = parse_component(data, "--data")
    made = failures = 0
    for title, outcome, text, place in check_model(name, given, component):
        made += 1
        failures += outcome == "FAIL"
        echo(f"{outcome:<4}  {title}" + (f": {text}" if outcome == "n/a" else ""))
        if outcome in ("FAIL", "note"):
            echo("      " + "\n".join(filter(None, (text, place))).replace("\n", "\n      "))
    left = len(CHECKS) - made
    rest = f"; mend this first: {left} more check{'s' * (left > 1)}" if left else ""
    echo(f"{name}: {f'{failures} failed{rest}' if failures else 'conforms'}")
    sys.exit(1 if failures else 0)
