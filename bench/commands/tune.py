"""`bench tune`: find settings on validation images, with the same number of trials for each."""

import sys
from typing import Unpack

import click

from bench.commands import cli, echo, options, tracker_options


@cli.command("tune")
@options.spec_argument("TUNING_FILE")
@click.option("--variants", default="all", help="Which variants, with commas between them.")
@options.add(*options.EXECUTION)
def tune_command(variants: str, **values: Unpack[options.ExecutionOptions]) -> None:
    """Tune variants of a sweep, each with the same number of trials.

    TUNING_FILE is a YAML file like sweeps/tune.yaml. KEY=VALUE changes one key of it, for example
    trials=40, which continues a study of 20. The same command continues an interrupted study. The
    fewer --jobs, the more each trial learns from earlier ones. Tuning never uses test images.

    Example: bench tune sweeps/tune.yaml --variants lr_livae,cvae --jobs 2
    """
    from bench.console import say, suggest_command
    from bench.tuning.outcome import outcome_text, refuse_other_file, write_outcome
    from bench.tuning.spec_files import find_spec, refusing_other_kind
    from bench.tuning.study import Study
    from bench.tuning.trial_task import run_studies
    from bench.tuning.tuning_file import load_tuning, tuning_plan_text

    spec = find_spec(values["spec"], tunes=True)
    with refusing_other_kind(spec, tunes=True):
        tuning = load_tuning(spec, values["overrides"])
    names = tuning.select(variants)
    results = values["results"]
    worker, make_executor = options.make_training_worker(values)
    trackers = tracker_options.make_trackers(values, results)
    refuse_other_file(tuning, results / tuning.head.name)
    if values["dry_run"]:
        echo(tuning_plan_text(tuning))
        return
    folder = results / tuning.head.name
    with options.stoppable(worker):
        studies = [Study(tuning, variant, folder) for variant in tuning.variants]
        selected = [study for study in studies if study.variant.name in names]
        executor = make_executor()
        say(f"{tuning.head.name}: {len(selected) * tuning.head.trials} trials {executor}")
        run_studies(selected, worker, executor)
        with worker.stop.deferred():
            best = write_outcome(tuning, studies, results, worker.command)
            is_mirrored = tracker_options.update_mirrors(folder, trackers, pictures=False)
    echo(outcome_text(tuning, studies, best))
    if best:
        command = suggest_command(results, "run", str(folder / "tuned.yaml"))
        say(f"trials and plots in {folder}; on test images: {command}")
    if not is_mirrored or any(name not in best for name in names):  # none of its trials ended well
        sys.exit(1)
