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
    from bench.conformance import suite
    from bench.spec.located_yaml import parse_component, parse_option

    given = dict(parse_option(option) for option in options)
    made = failures = 0
    for title, problem in suite.check_model(name, given, parse_component(data, "--data")):
        made += 1
        echo(f"{'ok' if problem is None else 'FAIL':<4}  {title}")
        if problem is not None:
            failures += 1
            echo("      " + problem.strip().replace("\n", "\n      "))
    left = len(suite.CHECKS) - made
    rest = f"; the other {left} checks need this one" if left else ""
    echo(f"{name}: {f'{failures} failed{rest}' if failures else 'conforms'}")
    sys.exit(1 if failures else 0)
