"""`bench compare`: how two runs or two variants differ."""

from pathlib import Path

import click

from bench.commands import cli, echo, options
from bench.commands.json_output import json_option, print_json
from bench.errors import BenchError


@cli.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--compare",
    metavar="COMPARISONS",
    help="Metrics that are tested and corrected together: {metrics: [...]}.  [default: all]",
)
@json_option("ComparisonOutput")
@options.RESULTS
def compare_command(
    first: str, second: str, compare: str | None, as_json: bool, results: Path
) -> None:
    """Show how two runs or variants differ.

    Compares configurations and measurements. A and B are variants, SWEEP/VARIANT, whose seeds
    are compared in pairs; or runs: SWEEP/ID, the folder of a run, or an id or its beginning. P
    values are corrected for all metrics that are printed.

    Example: bench compare digits/lr_livae digits/softmax
    """
    from bench.record.records import load_records
    from bench.reporting.compare import TWO_ROWS, compare_sides, comparison_text, find_runs

    records = load_records(results)
    sides = [find_runs(records, name) for name in (first, second)]
    if shared := set(sides[0].runs) & set(sides[1].runs):
        what = "are the same" if sides[0].runs == sides[1].runs else "overlap"
        raise BenchError(f"{first} and {second} {what}: both have the run {min(shared)[1]}")
    family = options.chosen_comparisons(compare, records)
    if family and family.comparisons.model_fields_set - {"metrics"}:
        raise BenchError("--compare accepts only `metrics` here; A is the reference")
    compared = compare_sides(records, sides[0], sides[1], family or TWO_ROWS)
    if as_json:
        from bench.output import comparison_output

        print_json("ComparisonOutput", comparison_output(compared))
    else:
        echo(comparison_text(compared))
