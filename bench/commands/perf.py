"""`bench perf`: how long things take on this machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands import cli, echo, options

if TYPE_CHECKING:
    from bench.process.worker import Worker
    from bench.spec.run_config import RunConfig

SYNTHETIC = (
    "{name: blobs, image_size: 32, channels: 3, classes: 10, per_class: 500, "
    "validation_fraction: 0, test_per_class: 500}"
)


@cli.group()
def perf() -> None:
    """Say how long things take on this machine."""


@perf.command("metrics")
@click.option("--data", default=SYNTHETIC, show_default="32x32 blobs", help="Data set, in YAML.")
@click.option("--model", default="lr_livae", help="In YAML.")
@click.option(
    "--metric", "metrics", multiple=True, help="What to time, in YAML.  [default: every metric]"
)
@click.option(
    "--samples-per-class",
    "per_class",
    default=500,
    type=click.IntRange(2, 10**6),
    metavar="N",
    help="Samples of each class.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.add(options.DEVICE, options.THREADS)
def metrics_(
    data: str,
    model: str,
    metrics: tuple[str, ...],
    per_class: int,
    as_json: bool,
    device: str,
    threads: int | None,
) -> None:
    """Time every metric of an evaluation, in one pass over samples of a model without training.

    The measurements themselves mean nothing. CPU seconds count all threads, and change little where
    other programs want the cores; wall seconds do.
    """
    from bench import registry
    from bench.evaluation.given_samples import read_request
    from bench.perf.metric_times import time_metrics

    wanted = read_request(None, metrics or tuple(registry.registered("metric")))
    training = _run(model, "--model", data).training
    timings = time_metrics(wanted.metrics, training, per_class, _worker(device, threads))
    echo(json.dumps(timings, indent=2) if as_json else _metrics_text(timings))


@perf.command("train")
@click.argument("models", nargs=-1)
@click.option("--data", default="digits", help="Data set, in YAML.")
@click.option("--batch-size", default=96, type=click.IntRange(1, 10**6))
@click.option(
    "--no-compile", is_flag=True, help="Leave out what takes a minute a model to compile."
)
@click.option("--json", "path", type=options.FILE, help="Also write this file.")
@options.add(options.DEVICE, options.THREADS)
def train_(
    models: tuple[str, ...],
    data: str,
    batch_size: int,
    no_compile: bool,
    path: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Time the training of MODELS (by default: all), each given as a name or in YAML.

    A plain eager loop with a DataLoader, our eager mode and every switch take turns of half a
    second in one process, and are compared as ratios within each turn.
    """
    from datetime import UTC, datetime

    from bench import registry
    from bench.perf.training_times import time_training
    from bench.record.files import write_json
    from bench.record.provenance import collect

    names = models or tuple(registry.registered("model"))
    runs = [_run(name, "MODELS", data, batch_size=batch_size) for name in names]
    worker = _worker(device, threads)
    loaded = worker.context(runs[0]).data
    timed = []
    for run in runs:
        timed.append(time_training(run, worker, compiling=not no_compile))
        echo(_training_text(timed[-1]))
    report = {
        **collect(worker.device, worker.command, loaded.fingerprint, timed[0]["threads"]),
        "data": runs[0].training.data,
        "date": datetime.now(UTC).date().isoformat(),
        "models": timed,
    }
    echo(
        f"{report['device_name']} ({report['device']}), torch {report['versions']['torch']}, "
        f"{report['threads']} threads, {report['date']}"
    )
    if path is not None:
        write_json(path, report)


def _worker(device: str, threads: int | None) -> "Worker":
    from bench.process.worker import Worker

    return Worker(device, command=options.typed_command(), threads=threads)


def _run(model: str, option: str, data: str, **settings: Any) -> "RunConfig":
    """Return the configuration of a model on a data set, both as given on the command line."""
    from bench.spec.located import Located
    from bench.spec.located_yaml import parse_value
    from bench.spec.run_config import complete_settings

    settings |= {
        "model": parse_value(model, f"command line, {option} {model}"),
        "data": parse_value(data, f"command line, --data {data}"),
    }
    located = Located.of({"seed": 0, "iterations": 100_000, **settings}, "command line")
    with located.locating_errors():
        return complete_settings(located.value)


def _training_text(timed: Mapping[str, Any]) -> str:
    """Return the timings of one model as a table."""
    columns = {
        "ms/iter": ("seconds_per_iteration", 1e3, ".2f"),
        "images/s": ("images_per_second", 1, ".0f"),
        "x plain": ("times_plain_loop", 1, ".2f"),
        "x eager": ("times_eager", 1, ".2f"),
        "x one process": ("times_one_process", 1, ".2f"),
    }
    lines = [
        f"{json.dumps(timed['model'])}, batches of {timed['batch_size']}",
        f"  {'':40}" + "".join(f"  {title:>{max(len(title), 9)}}" for title in columns),
    ]
    for row in timed["rows"]:
        line = f"  {row['mode']:40}"
        for title, (key, scale, form) in columns.items():
            text = format(scale * row[key], form) if key in row else ""
            line += f"  {text:>{max(len(title), 9)}}"
        note = f"  {row['mode']:40}  n/a: {row['reason']}"
        lines.append(note if row["reason"] else line.rstrip())
    return "\n".join([*lines, ""])


def _metrics_text(timed: Mapping[str, Any]) -> str:
    """Return the timings of all metrics as a table."""
    lines = [
        f"{timed['samples']} samples of {timed['data']['name']}, model {timed['model']} without "
        f"training, {timed['device']}, {timed['threads']} threads",
        "",
        f"{'':32}  {'wall s':>8}  {'CPU s':>8}",
    ]
    for rows in (timed["setup"], timed["metrics"], [timed["total"]]):
        for row in rows:
            note = f"  n/a: {row['reason']}" if row["reason"] else ""
            times = f"{row['seconds']:8.1f}  {row['cpu_seconds']:8.1f}"
            lines.append(f"{row['what']:32}  {times}{note}")
        lines.append("")
    return "\n".join(lines[:-1])
