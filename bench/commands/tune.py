"""`bench tune`: find settings on validation images, with the same number of trials for each."""

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


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--models", default="all", show_default=True, help="Which variants, with commas between them."
)
@click.option("--dry-run", is_flag=True, help="Show what would vary, then stop.")
@RESULTS
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1),
    help="Trials at a time; the fewer, the more each learns from those before.  [default: 1]",
)
@click.option("--executor", help="Where trials are done; as of `bench run`.")
@DEVICE
@THREADS
@ALLOW_CODE_CHANGE
@SPEED
@CHECKPOINT_SECONDS
@INCEPTION_WEIGHTS
@LPIPS_WEIGHTS
@MLFLOW_URI
@NO_MLFLOW
@click.pass_obj
def tune(
    words: list[str],
    spec: Path,
    overrides: tuple[str, ...],
    models: str,
    dry_run: bool,
    results: Path,
    jobs: int | None,
    executor: str | None,
    device: str,
    threads: int | None,
    allow_code_change: bool | None,
    speed: str | None,
    checkpoint_seconds: float,
    inception_weights: Path | None,
    lpips_weights: Path | None,
    mlflow_uri: str | None,
    no_mlflow: bool,
) -> None:
    """Tune variants of a sweep, each with the same number of trials.

    SPEC is a YAML file like sweeps/tune.yaml. KEY=VALUE changes one key of it, for example
    trials=40, which continues a study of 20. The same command goes on after anything. Nothing here
    looks at test images.
    """
    from bench.console import command_on, say
    from bench.errors import Interrupted
    from bench.process.worker import RunOptions, Worker
    from bench.spec.components import construct
    from bench.spec.preferences import allows_code_change, choose_executor, choose_speed
    from bench.trackers.mirror import write_mirrors
    from bench.tuning.outcome import summary, write_outcome
    from bench.tuning.study import Study
    from bench.tuning.trial import run_studies
    from bench.tuning.tuning_file import load_tuning, plan_text

    tuning = load_tuning(find_spec(spec), overrides)
    wanted = tuning.wanted(models)
    chosen, jobs = choose_executor(executor, jobs)
    switches = choose_speed(speed)
    if dry_run:
        click.echo(plan_text(tuning))
        return
    worker = Worker(
        device,
        command=invocation(click.get_current_context()),
        weights=weight_files(inception=inception_weights, lpips=lpips_weights),
        threads=threads,
        options=RunOptions(
            checkpoint_seconds=checkpoint_seconds,
            allow_code_change=allows_code_change(allow_code_change),
            switches=switches,
        ),
    )
    folder = results / tuning.head.name
    try:
        with worker.stop.listening():
            studies = [Study(tuning, subject, folder) for subject in tuning.subjects]
            ours = [study for study in studies if study.subject.variant in wanted]
            where = construct("executor", chosen, jobs, worker)
            say(f"{tuning.head.name}: {len(ours) * tuning.head.trials} trials {where}")
            run_studies(ours, worker, where)
            with worker.stop.deferred():
                best = write_outcome(tuning, studies, results, worker.command)
                write_mirrors(folder, to_mlflow=not no_mlflow, uri=mlflow_uri, pictures=False)
    except (Interrupted, KeyboardInterrupt) as error:
        say(f"{str(error) or 'stopped'}; continue with: {shlex.join(['bench', *words])}")
        sys.exit(130)
    click.echo(summary(tuning, studies, best))
    if best:
        tuned = command_on(results, "run", str(folder / "tuned.yaml"))
        say(f"trials and pictures in {folder}; on test images: {tuned}")
