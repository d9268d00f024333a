"""`bench perf`: how long things take on this machine."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import click

from bench.commands.options import DEVICE, THREADS

SYNTHETIC = (
    "{name: blobs, image_size: 32, channels: 3, classes: 10, per_class: 500, "
    "validation_fraction: 0, test_per_class: 500}"
)


@click.group()
def perf() -> None:
    """Say how long things take on this machine."""


@perf.command("metrics")
@click.option("--data", default=SYNTHETIC, help="Data set, in YAML.  [default: 32x32 color blobs]")
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
    from bench.execution.perf import time_metrics
    from bench.execution.wanted import Wanted
    from bench.execution.workplace import Workplace

    wanted = Wanted.of(data, metrics or tuple(registry.entries("metric")), per_class)
    workplace = Workplace(device, command=shlex.join(["bench", *words]), threads=threads)
    found = time_metrics(wanted, model, pairs, workplace)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


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
