"""The command line. Every command imports what it needs when it runs, so `--help` is instant."""

import os
import sys
from pathlib import Path

import click

import bench
from bench.commands.evaluate import evaluate
from bench.commands.figure import figure
from bench.commands.options import (
    DEVICE,
    INCEPTION_WEIGHTS,
    LPIPS_WEIGHTS,
    RESULTS,
    THREADS,
    choose_device,
    weight_files,
)
from bench.commands.perf import perf
from bench.commands.report import compare, report
from bench.commands.tune import tune
from bench.errors import BenchError, Interrupted

LISTED = ("models", "datasets", "metrics", "references", "sweeps", "tables", "figures")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Benchmark and ablate conditional image generators."""


@cli.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@RESULTS
@click.option("--dry-run", is_flag=True, help="Show what would run, then stop.")
@click.option(
    "--jobs", "-j", default=1, show_default=True, type=click.IntRange(1), help="Runs at a time."
)
@DEVICE
@THREADS
@click.option("--retry-failed", is_flag=True, help="Try failed runs again.")
@click.option(
    "--checkpoint-seconds", default=30.0, show_default=True, help="Time between checkpoints."
)
@INCEPTION_WEIGHTS
@LPIPS_WEIGHTS
@click.option("--mlflow-uri", envvar="MLFLOW_TRACKING_URI", help="Tracking server or database.")
@click.option("--no-mlflow", is_flag=True, help="Do not mirror to MLflow.")
@click.option("--helper-of", type=int, hidden=True, help="Process that started this one to help.")
@click.pass_obj
def run(
    words: list[str],
    spec: Path,
    overrides: tuple[str, ...],
    results: Path,
    dry_run: bool,
    jobs: int,
    device: str,
    threads: int | None,
    retry_failed: bool,
    checkpoint_seconds: float,
    inception_weights: Path | None,
    lpips_weights: Path | None,
    mlflow_uri: str | None,
    no_mlflow: bool,
    helper_of: int | None,
) -> None:
    """Run a sweep, or what is missing of it.

    SPEC is a YAML file, or the name of a sweep that ships with bench. KEY=VALUE changes one key
    of it, for example base.iterations=500. The same command continues an interrupted sweep, and
    several at once share its runs.
    """
    from bench.sweep import load_sweep

    sweep = load_sweep(find_spec(spec), overrides)
    if dry_run:
        from bench.execution.plan import plan_text

        click.echo(plan_text(sweep, results))
        return
    from bench.execution.driver import help_sweep, run_sweep
    from bench.execution.mirrors import write_mirrors
    from bench.execution.workplace import Workplace
    from bench.tracking.console import StopSignal, say

    workplace = Workplace(
        choose_device(device),
        command=sweep.command,
        weights=weight_files(inception=inception_weights, lpips=lpips_weights),
        checkpoint_seconds=checkpoint_seconds,
        retry_failed=retry_failed,
        plain=jobs > 1 or helper_of is not None,
        threads=threads,
        jobs=jobs,
    )
    try:
        with StopSignal(helper_of).listening() as workplace.stop:
            if helper_of is not None:
                help_sweep(sweep, results, workplace)
                return
            say(f"{sweep.name}: {len(sweep.runs)} runs on {workplace.device}")
            helper = [sys.executable, "-m", "bench", *words, "--helper-of", str(os.getpid())]
            tally = run_sweep(sweep, results, workplace, helpers=helper, jobs=jobs)
    except (Interrupted, KeyboardInterrupt) as error:
        if helper_of is None:
            say(f"{error or 'stopped'}; continue with: {sweep.command}")
        sys.exit(130)
    folder = results / sweep.name
    write_mirrors(folder, to_mlflow=not no_mlflow, uri=mlflow_uri)
    if tally.kept == len(sweep.runs):
        say(f"nothing to do: all {tally.kept} runs are done, in {folder}")
    else:
        counts = {"failed": len(tally.failed), "finished": tally.finished, "kept": tally.kept}
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        say(f"{told}; results in {folder}")
    if tally.failed:
        say(f"why: cat {tally.failed[0] / 'failed'}; again: {sweep.command} --retry-failed")
        sys.exit(1)


@cli.command("list")
@click.argument("what", type=click.Choice(LISTED))
def list_(what: str) -> None:
    """List what there is, one line each."""
    from bench import registry

    if what == "sweeps":
        from bench.sweep import find_sweeps, summary

        lines = [(str(path), summary(path)) for path in find_sweeps(sweeps_folder())]
    elif what == "tables":
        from bench.reporting.tables import load_tables

        lines = [(name, spec.title) for name, spec in load_tables().items()]
    elif what == "figures":
        from bench.reporting.figures.catalog import FIGURES

        lines = [(name, entry.summary) for name, entry in FIGURES.items()]
    else:
        kinds: dict[str, registry.Kind] = {
            "models": "model",
            "datasets": "dataset",
            "metrics": "metric",
            "references": "reference",
        }
        lines = [
            (name, entry.summary + (f" [{', '.join(entry.can)}]" if entry.can else ""))
            for name, entry in registry.entries(kinds[what]).items()
        ]
    width = max((len(name) for name, _ in lines), default=0)
    for name, line in lines:
        click.echo(f"{name:<{width}}  {line}".rstrip())


@cli.command()
@click.argument("name")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option("--data", default="blobs", show_default=True, help="Data set, in YAML.")
def check(name: str, options: tuple[str, ...], data: str) -> None:
    """Run the conformance suite on a registered model, your own included.

    OPTION=VALUE are options of the model. A model that is made for other images than 8x8 gray ones
    is checked with, for example, --data '{name: blobs, image_size: 32, channels: 3}'.
    """
    from bench import contract
    from bench.located import parse_option, parse_value

    given = dict(parse_option(option) for option in options)
    value = parse_value(data, "--data")
    chosen = {"name": value} if isinstance(value, str) else value
    failures = 0
    for title, problem in contract.check_model(name, given, chosen):
        click.echo(f"{'ok  ' if problem is None else 'FAIL'}  {title}")
        if problem is not None:
            failures += 1
            click.echo("      " + problem.replace("\n", "\n      "))
    click.echo(f"{name}: {'conforms' if not failures else f'{failures} checks failed'}")
    sys.exit(1 if failures else 0)


@cli.command()
@click.argument("sweeps", nargs=-1)
@RESULTS
def status(sweeps: tuple[str, ...], results: Path) -> None:
    """Say which runs are done, failed, or still missing."""
    from bench.reporting.records import load_records
    from bench.reporting.status import status_text

    click.echo(status_text(load_records(results, sweeps or None)))


@cli.command()
@click.argument("sweep")
@RESULTS
@click.option("--mlflow-uri", envvar="MLFLOW_TRACKING_URI", help="Tracking server or database.")
def mirror(sweep: str, results: Path, mlflow_uri: str | None) -> None:
    """Write the CSV files and MLflow runs of a sweep again, from its rows.

    Only what is missing there is written, so this also catches up after a tracking server failed.
    """
    from bench.execution.mirrors import write_mirrors
    from bench.reporting.records import load_records

    load_records(results, [sweep])  # an unknown name gets its message here
    if not write_mirrors(results / sweep, uri=mlflow_uri):
        sys.exit(1)


for command in (compare, evaluate, figure, perf, report, tune):
    cli.add_command(command)


def find_spec(spec: Path) -> Path:
    """Return the file that a user means: a path, or the name of a sweep that ships with bench."""
    if spec.exists() or spec.suffix:
        return spec
    named = sweeps_folder() / f"{spec}.yaml"
    return named if named.exists() else spec


def sweeps_folder() -> Path:
    """Return `sweeps` here, or the sweeps that ship with bench."""
    here = Path("sweeps")
    if here.is_dir():
        return here
    package = Path(bench.__file__).parent
    return next((p for p in (package / "sweeps", package.parent / "sweeps") if p.is_dir()), here)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: The words after `bench`; those of the process where None.
    """
    try:
        words = sys.argv[1:] if arguments is None else arguments
        cli.main(words, obj=words)
    except BenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
