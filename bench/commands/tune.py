"""`bench tune`: find settings on validation images, with the same number of trials for each."""

import os
import sys
from pathlib import Path

import click

from bench.commands.options import DEVICE, RESULTS, THREADS


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--models", default="all", show_default=True, help="Which variants, with commas between them."
)
@click.option("--dry-run", is_flag=True, help="Show what would vary, then stop.")
@click.option(
    "--jobs", "-j", default=1, show_default=True, type=click.IntRange(1), help="Trials at a time."
)
@RESULTS
@DEVICE
@THREADS
@click.option(
    "--checkpoint-seconds", default=30.0, show_default=True, help="Time between checkpoints."
)
@click.option("--mlflow-uri", envvar="MLFLOW_TRACKING_URI", help="Tracking server or database.")
@click.option("--no-mlflow", is_flag=True, help="Do not mirror to MLflow.")
@click.option("--helper-of", type=int, hidden=True, help="Process that started this one to help.")
@click.pass_obj
def tune(
    words: list[str],
    spec: Path,
    overrides: tuple[str, ...],
    models: str,
    dry_run: bool,
    jobs: int,
    results: Path,
    device: str,
    threads: int | None,
    checkpoint_seconds: float,
    mlflow_uri: str | None,
    no_mlflow: bool,
    helper_of: int | None,
) -> None:
    """Tune variants of a sweep, each with the same number of trials.

    SPEC is a YAML file like sweeps/tune.yaml. KEY=VALUE changes one key of it, for example
    trials=40, which continues a study of 20. The same command goes on after anything. Nothing here
    looks at test images.
    """
    from bench.errors import Interrupted
    from bench.execution.mirrors import write_mirrors
    from bench.execution.workplace import Workplace
    from bench.tracking.console import StopSignal, say
    from bench.tuning.outcome import summary, write_outcome
    from bench.tuning.spec import load_tuning, plan_text
    from bench.tuning.study import Study
    from bench.tuning.worker import run_studies, work

    tuning = load_tuning(spec, overrides)
    wanted = tuning.wanted(models)
    if dry_run:
        click.echo(plan_text(tuning))
        return
    workplace = Workplace(
        device,
        command=tuning.command,
        checkpoint_seconds=checkpoint_seconds,
        threads=threads,
        jobs=jobs,
    )
    folder = results / tuning.head.name
    studies = [Study(tuning, subject, folder) for subject in tuning.subjects]
    ours = [study for study in studies if study.subject.variant in wanted]
    try:
        with StopSignal(helper_of).listening() as workplace.stop:
            if helper_of is not None:
                work(tuning, ours, results, workplace)
                return
            helper = [sys.executable, "-m", "bench", *words, "--helper-of", str(os.getpid())]
            run_studies(tuning, ours, results, workplace, helpers=helper, jobs=jobs)
    except (Interrupted, KeyboardInterrupt) as error:
        if helper_of is None:
            say(f"{error or 'stopped'}; continue with: {tuning.command}")
        sys.exit(130)
    best = write_outcome(tuning, studies, results)
    write_mirrors(folder, to_mlflow=not no_mlflow, uri=mlflow_uri, pictures=False)
    click.echo(summary(tuning, studies, best))
    if best:
        say(f"trials and pictures in {folder}; on test images: bench run {folder / 'tuned.yaml'}")
