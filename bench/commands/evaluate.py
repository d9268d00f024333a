"""`bench evaluate`: metrics of given images or of a finished run, without training."""

from pathlib import Path
from typing import Unpack

import click

from bench.commands import cli, echo, options
from bench.commands.json_output import json_option, print_json
from bench.errors import BenchError


@cli.command("evaluate")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--data", help="Data set that the images imitate, in YAML; a run knows its own.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="What to measure, in YAML; may be repeated.  [default: inception_score, "
    "intra_class_diversity, class_accuracy, fid, precision_recall]",
)
@click.option(
    "--samples-per-class",
    "per_class",
    type=click.IntRange(1, 10**6),
    metavar="N",
    help="Images per class.  [default: all images; for a run, its samples_per_class]",
)
@options.add(options.SAMPLE_SEED, options.SAMPLING)
@click.option("--name", help="Keep the measurements as a row of this name, for `bench report`.")
@click.option(
    "--seed",
    type=options.SEED,
    metavar="N",
    help="Training seed of these images. With --name, sets with different seeds form one row.",
)
@click.option("--record", is_flag=True, help="Add the measurements to the run's own record.")
@json_option("EvaluationOutput")
@options.add(*options.WORKER)
def evaluate_command(
    target: Path,
    data: str | None,
    metrics: tuple[str, ...],
    per_class: int | None,
    sample_seed: int | None,
    sampling: str | None,
    name: str | None,
    seed: int | None,
    record: bool,
    as_json: bool,
    **values: Unpack[options.WorkerOptions],
) -> None:
    """Compute metrics for given images or a finished run.

    TARGET is a folder with one sub-folder of images per class; an .npz file with x (uint8,
    [N, H, W] or [N, H, W, C]) and y (integers [N]); or the folder of a run, results/SWEEP/ID.
    Results are written only with --name or --record; classifiers and features are cached. The
    real test images are measured, too.

    Example: bench evaluate theirs.npz --data digits --name "Their GAN"
    """
    if seed is not None and name is None:
        raise BenchError("--seed requires --name")
    from bench.console import say, suggest_command
    from bench.evaluation.given_samples import measure_given, open_samples, read_request
    from bench.evaluation.saved_rows import add_to_run, check_row_name, save_row
    from bench.execution.code_change import refuse_changed_metrics
    from bench.execution.source_files import code_of_metric
    from bench.record.files import refuse_unwritable
    from bench.reporting.render.measurements import measurements_text
    from bench.spec.reserved_names import EVALUATIONS

    request = read_request(
        data,
        metrics,
        per_class=per_class,
        sample_seed=sample_seed,
        training_seed=seed,
        sampling=sampling,
    )
    codes = {m.name: code_of_metric(m.name) for m in request.metrics}  # before anyone edits it
    options.tell_changed_code(target, refuse=record)
    if record:
        refuse_changed_metrics(target, request.metrics)
    worker = options.make_worker(options.typed_command(), values)
    given = open_samples(target, request, worker)
    if record:
        given.check_recordable()
        refuse_unwritable(target)
    if name is not None:
        check_row_name(given, name, values["results"])
        refuse_unwritable(values["results"] / EVALUATIONS)
    for line in given.notices:
        say(line)
    result = measure_given(given, worker)
    try:
        if record:
            file = add_to_run(result, codes)
            sweep = target.resolve().parent
            command = suggest_command(sweep.parent, "mirror", sweep.name)
            say(f"added to {file}; to update the CSV files, run: {command}")
        if name is not None:
            say(save_row(result, name, values["results"], worker, codes))
            command = suggest_command(values["results"], "report", "SWEEP", "evaluations")
            say(f"to compare with a sweep, run: {command}")
    finally:  # printed last, so that a closed pipe costs nothing, and also if it could not be kept
        if as_json:
            print_json("EvaluationOutput", result.summary)
        else:
            echo(measurements_text(result.summary))
