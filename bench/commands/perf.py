"""`bench perf`: benchmarks of training and metrics on this machine."""

import json
from collections.abc import Mapping
from functools import partial
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

SECONDS = click.option(
    "--seconds",
    default=120.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Time limit per mode, including start-up. Slow modes skip rounds; a mode that is still "
    "starting up then is dropped.",
)
JSON = click.option(
    "--json", "path", type=options.FILE, help="Also write this file, again after every round."
)


@cli.group()
def perf() -> None:
    """Benchmark training and metrics on this machine."""


@perf.command("metrics")
@click.option("--data", default=SYNTHETIC, show_default="32x32 blobs", help="Data set, in YAML.")
@click.option("--model", default="lr_livae", help="Model, in YAML.")
@click.option(
    "--metric", "metrics", multiple=True, help="What to time, in YAML.  [default: every metric]"
)
@click.option(
    "--samples-per-class",
    "per_class",
    default=500,
    type=click.IntRange(2, 10**6),
    metavar="N",
    help="Samples per class.",
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
    """Time every metric of an evaluation, in one pass over samples of an untrained model.

    The measured values themselves mean nothing. CPU seconds count all threads. Other programs on
    the same cores hardly change them, unlike wall seconds.
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
    "--no-compile",
    is_flag=True,
    help="Skip modes that need torch.compile (about a minute per model).",
)
@SECONDS
@JSON
@options.add(options.DEVICE, options.THREADS)
def train_(
    models: tuple[str, ...],
    data: str,
    batch_size: int,
    no_compile: bool,
    seconds: float,
    path: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Time the training of MODELS (by default: all), each given as a name or in YAML.

    Plain eager loops with a DataLoader, our eager mode, every switch and precision take turns of at
    most half a second in one process, and are compared as ratios within each round. "of ceiling" is
    the share of the arithmetic that products of two large matrices of random numbers reach in the
    same precision. "unfinished" in the JSON file names models whose rows are incomplete or missing.
    """
    from bench import registry
    from bench.perf.ceilings import measure_ceilings
    from bench.perf.training_times import time_training
    from bench.process.cores import usable_cores

    names = models or tuple(registry.registered("model"))
    runs = [_run(name, "MODELS", data, batch_size=batch_size) for name in names]
    worker = _worker(device, threads)
    report = _report(runs[0], worker)
    report |= {"ceilings": [], "models": [], "unfinished": list(names)}

    def keep(timed: Mapping[str, Any], index: int) -> None:
        report["models"][index:] = [timed]
        _write(path, report)

    _write(path, report)  # fails before anything is measured if it cannot be written
    counts = {report["threads"]}
    if worker.device.type == "cpu":
        counts.add(usable_cores())
    report["ceilings"] = measure_ceilings(worker.device, counts)
    for index, run in enumerate(runs):
        timed = time_training(
            run,
            worker,
            compiling=not no_compile,
            limit=seconds,
            ceilings=report["ceilings"],
            keep=partial(keep, index=index),
        )
        report["unfinished"] = list(names[index + 1 :])
        keep(timed, index)
        echo(_training_text(timed))
    speeds = (_ceiling_text(ceiling) for ceiling in report["ceilings"])
    echo(f"products of large matrices reach {', '.join(speeds)}")
    echo(_machine_text(report))


@perf.command("seeds")
@click.argument("model")
@click.option("--data", default="digits", help="Data set, in YAML.")
@click.option(
    "--seeds", default=8, show_default=True, type=click.IntRange(2, 15), help="At most 15."
)
@click.option("--precision", default="float32", type=click.Choice(["float32", "tf32", "bfloat16"]))
@click.option("--batch-size", default=96, type=click.IntRange(1))
@SECONDS
@JSON
@options.add(options.DEVICE, options.THREADS)
def seeds_(
    model: str,
    data: str,
    seeds: int,
    precision: str,
    batch_size: int,
    seconds: float,
    path: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Time several seeds of MODEL on one device: one by one, in processes, and in one process.

    Seconds are those of an iteration of any seed. On a GPU all ways replay CUDA graphs; in one
    process each seed has a stream and random numbers of its own.
    """
    from bench.perf.several_seeds import time_seeds

    run = _run(model, "MODEL", data, batch_size=batch_size, precision=precision)
    worker = _worker(device, threads)
    report = _report(run, worker) | {"unfinished": True}

    def keep(timed: Mapping[str, Any]) -> None:
        report.update(timed)
        _write(path, report)

    _write(path, report)
    timed = time_seeds(run, seeds, worker, limit=seconds, keep=keep)
    report["unfinished"] = False
    keep(timed)
    echo(f"{seeds} seeds, {precision}, {_training_text(timed)}")
    best = next(row for row in timed["rows"] if row["mode"] == timed["fastest"])
    if sum("times_one_by_one" in row for row in timed["rows"]) > 1:
        echo(f"fastest: {best['mode']}, {best['times_one_by_one']:.2f} times as fast as one by one")
    if "difference_from_alone" in timed:
        echo(f"trained together, seeds differ from alone by {timed['difference_from_alone']:.2g}")
    echo(_machine_text(report))


def _report(run: "RunConfig", worker: "Worker") -> dict[str, Any]:
    """Describe the machine and the data of a measurement."""
    from datetime import UTC, datetime

    from bench.perf.ceilings import bfloat16_units
    from bench.record.provenance import collect

    data = worker.context(run).data
    threads = worker.threads_for(data.spec)
    return {
        **collect(worker.device, worker.command, data.fingerprint, threads),
        "data": run.training.data,
        "date": datetime.now(UTC).date().isoformat(),
        "bfloat16_units": bfloat16_units() if worker.device.type == "cpu" else [],
    }


def _write(path: Path | None, report: Mapping[str, Any]) -> None:
    from bench.record.files import write_json

    if path is not None:
        write_json(path, report)


def _machine_text(report: Mapping[str, Any]) -> str:
    device = ", ".join([f"{report['device_name']} ({report['device']})", *report["bfloat16_units"]])
    return (
        f"{device}, torch {report['versions']['torch']}, "
        f"{report['threads']} threads, {report['date']}"
    )


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
    """Return the timings of one model as a table, without columns that no row has."""
    columns = {
        "ms/iter": ("seconds_per_iteration", 1e3, ".2f"),
        "images/s": ("images_per_second", 1, ".0f"),
        "x plain": ("times_plain_loop", 1, ".2f"),
        "x eager": ("times_eager", 1, ".2f"),
        "x one process": ("times_one_process", 1, ".2f"),
        "x one by one": ("times_one_by_one", 1, ".2f"),
        "of ceiling": ("share_of_ceiling", 1, ".1%"),
    }
    used = {key for row in timed["rows"] for key in row}
    columns = {title: column for title, column in columns.items() if column[0] in used}
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


def _ceiling_text(ceiling: Mapping[str, Any]) -> str:
    threads = f" with {ceiling['threads']} threads" if ceiling["threads"] > 1 else ""
    return f"{ceiling['flop_per_second'] / 1e12:.3g} TFLOP/s in {ceiling['precision']}{threads}"


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
