"""`bench run`: do a sweep, or what is missing of it."""

import shlex
import sys
from pathlib import Path

import click

from bench.commands.options import (
    ALLOW_CODE_CHANGE,
    CHECKPOINT_SECONDS,
    DEVICE,
    INCEPTION_WEIGHTS,
    LPIPS_WEIGHTS,
    MLFLOW_URI,
    NO_MLFLOW,
    RESULTS,
    SPEED,
    THREADS,
    find_spec,
    invocation,
    weight_files,
)
from bench.errors import BenchError, Interrupted, machine_trouble


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@RESULTS
@click.option("--dry-run", is_flag=True, help="Show what would run, then stop.")
@click.option("--jobs", "-j", type=click.IntRange(1), help="Runs at a time.  [default: 1]")
@click.option(
    "--executor",
    help="Where runs are done, a name or {name: ..., option: ...}; see `bench list executors`.  "
    "[default: local if there are several jobs, else inline]",
)
@DEVICE
@THREADS
@SPEED
@click.option("--retry-failed", is_flag=True, help="Try failed runs again.")
@ALLOW_CODE_CHANGE
@CHECKPOINT_SECONDS
@INCEPTION_WEIGHTS
@LPIPS_WEIGHTS
@MLFLOW_URI
@NO_MLFLOW
@click.pass_obj
def run(
    words: list[str],
    spec: Path,
    overrides: tuple[str, ...],
    results: Path,
    dry_run: bool,
    jobs: int | None,
    executor: str | None,
    device: str,
    threads: int | None,
    speed: str | None,
    retry_failed: bool,
    allow_code_change: bool | None,
    checkpoint_seconds: float,
    inception_weights: Path | None,
    lpips_weights: Path | None,
    mlflow_uri: str | None,
    no_mlflow: bool,
) -> None:
    """Run a sweep, or what is missing of it.

    SPEC is a YAML file, or the name of a sweep that ships with bench. KEY=VALUE changes one key
    of it, for example base.iterations=500. The same command continues an interrupted sweep, and
    several at once share its runs. Defaults of --executor, --jobs and --speed are read from
    ~/.config/bench/config.yaml.
    """
    from bench.console import say
    from bench.execution.run_sweep import run_sweep, tasks_of
    from bench.process.worker import RunOptions, Worker
    from bench.spec.components import construct
    from bench.spec.preferences import (
        allows_code_change,
        choose_executor,
        choose_speed,
    )
    from bench.spec.sweep_file import load_sweep

    sweep = load_sweep(find_spec(spec), overrides)
    chosen, jobs = choose_executor(executor, jobs)
    switches = choose_speed(speed)
    worker = Worker(
        device,
        command=invocation(click.get_current_context()),
        weights=weight_files(inception=inception_weights, lpips=lpips_weights),
        threads=threads,
        options=RunOptions(
            checkpoint_seconds=checkpoint_seconds,
            allow_code_change=allows_code_change(allow_code_change),
            retry_failed=retry_failed,
            switches=switches,
        ),
    )
    if dry_run:
        from bench.execution.code_change import check_code
        from bench.execution.dry_run import dry_run_text

        click.echo(dry_run_text(sweep, results))
        check_code(tasks_of(sweep, results / sweep.name), worker.options)
        return
    try:
        with worker.stop.listening():
            where = construct("executor", chosen, jobs, worker)
            say(f"{sweep.name}: {len(sweep.runs)} runs {where}")
            outcome = run_sweep(sweep, results, worker, where)
            folder = results / sweep.name
            with worker.stop.deferred():
                mirrored = _mirrored(folder, to_mlflow=not no_mlflow, uri=mlflow_uri)
    except (Interrupted, KeyboardInterrupt) as error:
        say(f"{str(error) or 'stopped'}; continue with: {shlex.join(['bench', *words])}")
        sys.exit(130)
    counts = {"failed": len(outcome.failed), "finished": outcome.finished, "kept": outcome.kept}
    if not outcome.finished:  # or else they are a matter of course
        counts["controls measured"] = outcome.controls
    if outcome.kept == len(sweep.runs) == sum(counts.values()):
        say(f"nothing to do: all {outcome.kept} runs are done, in {folder}")
    else:
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        say(f"{told}; results in {folder}")
    if outcome.failed:
        written = [path / "failed" for path in outcome.failed if (path / "failed").exists()]
        why = f"cat {written[0]}" if written else next(iter(outcome.failed.values()))
        retry = ["--retry-failed"] if written and not retry_failed else []
        say(f"why: {why}; again: {shlex.join(['bench', *words, *retry])}")
    if outcome.failed or not mirrored:
        sys.exit(1)


def _mirrored(folder: Path, *, to_mlflow: bool, uri: str | None) -> bool:
    """Write CSV files, pictures and MLflow; trouble there costs none of the runs."""
    from bench.console import command_on, say
    from bench.trackers.mirror import write_mirrors

    try:
        write_mirrors(folder, to_mlflow=to_mlflow, uri=uri)
    except (BenchError, OSError) as error:
        why = machine_trouble(error) or error
        say(
            f"the CSV files in {folder} are not up to date: {why}; then: "
            + command_on(folder.parent, "mirror", folder.name)
        )
        return False
    return True
