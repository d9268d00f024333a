"""`bench perf`: how long things take on this machine."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter

from bench.commands.options import DEVICE, THREADS

SYNTHETIC = (
    "{name: blobs, image_size: 32, channels: 3, classes: 10, per_class: 500, "
    "validation_fraction: 0, test_per_class: 500}"
)


@click.group()
def perf() -> None:
    """Say how long things take on this machine."""


@perf.command("metrics")
@click.option("--data", default=SYNTHETIC, show_default="32x32 blobs", help="Data set, in YAML.")
@click.option("--model", default="lr_livae", show_default=True, help="In YAML.")
@click.option(
    "--metric", "metrics", multiple=True, help="What to time, in YAML.  [default: every metric]"
)
@click.option(
    "--samples-per-class",
    "per_class",
    default=500,
    show_default=True,
    type=click.IntRange(2),
    metavar="N",
    help="Samples of each class.",
)
@click.option(
    "--pairs",
    default=40,
    show_default=True,
    type=click.IntRange(1),
    help="Pairs for the naive loop that MS-SSIM is compared with.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@DEVICE
@THREADS
@click.pass_obj
def metrics_(
    words: list[str],
    data: str,
    model: str,
    metrics: tuple[str, ...],
    per_class: int,
    pairs: int,
    as_json: bool,
    device: str,
    threads: int | None,
) -> None:
    """Time every metric of an evaluation, in one pass over samples of a model without training.

    The figures themselves mean nothing. CPU seconds count all threads, and change little where
    other programs want the cores; wall seconds do.
    """
    from bench import registry
    from bench.evaluation.request import Wanted
    from bench.perf.metric_times import time_metrics
    from bench.process.worker import Worker

    wanted = Wanted.of(data, metrics or tuple(registry.registered("metric")), per_class)
    worker = Worker(device, command=shlex.join(["bench", *words]), threads=threads)
    found = time_metrics(wanted, model, pairs, worker)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


@perf.command("train")
@click.argument("models", nargs=-1)
@click.option("--data", default="digits", show_default=True, help="Data set, in YAML.")
@click.option("--batch-size", default=96, show_default=True, type=click.IntRange(1))
@click.option(
    "--iterations",
    type=click.IntRange(1),
    help="Iterations of each of five blocks.  [default: what takes half a second]",
)
@click.option(
    "--no-compile", is_flag=True, help="Leave out what takes a minute a model to compile."
)
@click.option(
    "--json", "path", type=click.Path(path_type=Path, dir_okay=False), help="Also write this file."
)
@DEVICE
@THREADS
@click.pass_obj
def train_(
    words: list[str],
    models: tuple[str, ...],
    data: str,
    batch_size: int,
    iterations: int | None,
    no_compile: bool,
    path: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Time the training of MODELS (by default: all), each given as a name or in YAML.

    A plain eager loop with a DataLoader, our eager mode and every switch take turns in one
    process, and are compared as ratios within each turn. The share is that of the operations a
    second of a matrix product of the same precision, measured between the turns.
    """
    from bench import registry
    from bench.errors import SpecError
    from bench.perf.training_times import time_models
    from bench.process.worker import Worker
    from bench.record.files import write_json
    from bench.spec import run_config
    from bench.spec.located_yaml import parse_value
    from bench.spec.run_settings import Component
    from bench.spec.validation import KeyProblem

    component = TypeAdapter(Component)
    runs = []
    for model in models or tuple(registry.registered("model")):
        settings = {
            "model": component.validate_python(parse_value(model, "command line, MODELS")),
            "data": component.validate_python(parse_value(data, "command line, --data")),
            "batch_size": batch_size,
            "seed": 0,
            "iterations": 100_000,
        }
        try:
            runs.append(run_config.complete_settings(settings))
        except KeyProblem as problem:
            raise SpecError(problem.message, where=f"command line, {model}") from problem
    worker = Worker(device, command=shlex.join(["bench", *words]), threads=threads)
    found = time_models(
        runs,
        worker,
        iterations=iterations,
        compiling=not no_compile,
        told=lambda one: click.echo(_speeds(one)),
    )
    click.echo(
        f"{found['device_name']} ({found['device']}), torch {found['versions']['torch']}, "
        f"{found['threads']} threads, {found['date']}"
    )
    if path is not None:
        write_json(path, found)


def _speeds(found: Mapping[str, Any]) -> str:
    """Return what was found of one model as a table."""
    head = "  ".join(f"{title:>10}" for title in ("ms/iter", "images/s", "x plain", "x eager"))
    lines = [
        f"{json.dumps(found['model'])}, batches of {found['batch_size']}, "
        f"{found['operations_per_iteration'] / 1e9:.2f} GFLOP an iteration",
        f"  {'':40}  {head}  {'share %':>8}  {'memory MB':>9}",
    ]
    for row in found["rows"]:
        if row["reason"]:
            lines.append(f"  {row['way']:40}  n/a: {row['reason']}")
            continue
        memory = row.get("peak_memory_bytes")
        cells = [
            (1e3, row.get("seconds_per_iteration"), "10.2f"),
            (1, row.get("images_per_second"), "10.0f"),
            (1, row.get("times_plain_loop"), "10.2f"),
            (1, row.get("times_eager"), "10.2f"),
            (100, row.get("share_of_matrix_product"), "8.1f"),
            (1e-6, memory, "9.0f"),
        ]
        told = [
            " " * int(form.split(".")[0]) if value is None else format(scale * value, form)
            for scale, value, form in cells
        ]
        end = (
            f"  x one process: {row['times_one_process']:.2f}" if "times_one_process" in row else ""
        )
        lines.append(f"  {row['way']:40}  {'  '.join(told)}{end}")
    products = ", ".join(
        f"{rate / 1e9:.0f} GFLOP/s in {precision}"
        for precision, rate in found["matrix_product_flops"].items()
    )
    lines.append(
        f"  matrix product {products}; copy "
        f"{found['copy_bytes_per_second'] / 1e9:.1f} GB/s, {found['threads']} threads\n"
    )
    return "\n".join(lines)


def _text(found: Mapping[str, Any]) -> str:
    """Return what `time_metrics` found as a table."""
    lines = [
        f"{found['samples']} samples of {found['data']['name']}, model {found['model']} without "
        f"training, {found['device']}, {found['threads']} threads",
        "",
        f"{'':32}  {'wall s':>8}  {'CPU s':>8}",
    ]
    for row in (*found["setup"], None, *found["metrics"], None, found["total"]):
        if row is None:
            lines.append("")
            continue
        note = f"  n/a: {row['reason']}" if row["reason"] else ""
        times = f"{row['seconds']:8.1f}  {row['cpu_seconds']:8.1f}"
        lines.append(f"{row['what']:32}  {times}{note}")
    bound, total = found["bound_seconds"], found["total"]["seconds"]
    kept = "within" if total <= bound else "beyond"
    lines[-1] += f"  {kept} the {bound:.0f} s for 5 000 samples of 32x32 pixels on two cores"
    if ratio := found["ms_ssim"]:
        lines += [
            "",
            f"MS-SSIM of {ratio['pairs']} pairs: {ratio['seconds']:.1f} s, "
            f"{ratio['times_as_fast']:.1f} times as fast as a loop over pytorch_msssim "
            f"({ratio['times_as_fast_cpu']:.1f} in CPU time), which was run on "
            f"{ratio['naive_pairs']} pairs and scaled to {ratio['naive_seconds_scaled']:.0f} s",
        ]
    return "\n".join(lines)
