"""How long an evaluation takes on this machine, metric by metric."""

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim

from bench.errors import NotApplicable, SpecError
from bench.evaluation.measuring import draw_samples, measure
from bench.evaluation.request import Wanted
from bench.metrics.base import SampleSet
from bench.metrics.extractors.domain import domain_classifier
from bench.metrics.ms_ssim import IntraClassDiversity
from bench.process.worker import Worker
from bench.spec import run_config
from bench.spec.located_yaml import parse_value
from bench.spec.validation import KeyProblem
from bench.training.trainer import build_model

BOUND_S = 180.0
"""What all metrics of 5 000 samples of 32x32 pixels may take on two cores."""

_Found = TypeVar("_Found")


class Timing(NamedTuple):
    """What something took.

    Attributes:
        what: What was timed.
        seconds: Wall time.
        cpu_seconds: Time of all threads of this process, which other processes hardly change.
        reason: Why there is no figure, for a metric that has none.
    """

    what: str
    seconds: float
    cpu_seconds: float
    reason: str = ""


def time_metrics(wanted: Wanted, model: str, pairs: int, worker: Worker) -> dict[str, Any]:
    """Measure samples of a model without training, one metric after another, in one pass.

    As in an evaluation, what several metrics need is computed by the first that asks for it.

    Args:
        wanted: The data set, the metrics, and how many samples of each class.
        model: Name of the model, or name and options in YAML.
        pairs: Pairs of images for the naive loop that MS-SSIM is compared with.
        worker: Device, threads, caches.

    Returns:
        `setup` and `metrics` (rows of `Timing`), their `total`, and `ms_ssim`, as plain data.

    Raises:
        SpecError: If the model does not fit.
    """
    assert wanted.data is not None
    assert wanted.per_class is not None
    value = parse_value(model, "command line, --model")
    component = {"name": value} if isinstance(value, str) else value
    settings = {"model": component, "data": wanted.data, "seed": 0, "iterations": 1}
    try:
        training = run_config.complete_settings(settings).training
    except KeyProblem as problem:
        raise SpecError(problem.message, where="--model") from problem
    context = worker.context_of(wanted.data)
    spec, device = context.data.spec, worker.device
    with worker.computing(spec):
        generator = build_model(training, context.data, device).eval()
        context = replace(context, model=generator)
        setup = []
        with suppress(NotApplicable):  # points have none, and the metrics will say so
            judge = _timed("training the domain classifier", lambda: domain_classifier(context))
            setup.append(judge[1])
        samples, drawing = _timed(
            f"drawing {wanted.per_class * spec.classes} samples",
            lambda: draw_samples(generator, spec, wanted.per_class or 1, 0, device),
        )
        setup.append(drawing)
        rows, ratio = [], None
        for metric in wanted.metrics:
            found, timing = _timed(
                metric.name,
                lambda metric=metric: measure([metric], samples, context, step=0, split="samples"),  # type: ignore[misc]
            )
            lacking = [row["reason"] for row in found if row["value"] is None]
            rows.append(timing._replace(reason=lacking[0] if lacking else ""))
            if isinstance(metric, IntraClassDiversity) and not lacking:
                ratio = _against_naive(metric, samples, rows[-1], pairs)
        threads = torch.get_num_threads()
    total = Timing("total", sum(r.seconds for r in rows), sum(r.cpu_seconds for r in rows))
    return {
        "data": wanted.data,
        "model": training.model["name"],
        "samples": len(samples.y),
        "device": str(device),
        "threads": threads,
        "setup": [row._asdict() for row in setup],
        "metrics": [row._asdict() for row in rows],
        "total": total._asdict(),
        "bound_seconds": BOUND_S,
        "ms_ssim": ratio,
    }


def _against_naive(
    metric: IntraClassDiversity, samples: SampleSet, ours: Timing, pairs: int
) -> dict[str, Any]:
    """Compare all pairs with a loop over `pytorch_msssim`, measured on some and scaled."""
    count, classes = min(metric.per_class, samples.per_class), samples.spec.classes
    every = classes * count * (count - 1) // 2
    x = samples.x[: pairs + 1].float() / 255
    size = (metric.size, metric.size)
    images = F.interpolate(x, size=size, mode="bilinear", align_corners=False).clamp_(0, 1)
    of_pairs = list(itertools.pairwise(torch.split(images, 1)))

    @torch.inference_mode()
    def loop() -> None:
        for first, second in of_pairs:
            ms_ssim(first, second, data_range=1)

    _, naive = _timed("naive", loop)
    scale = every / len(of_pairs)
    return {
        "pairs": every,
        "seconds": ours.seconds,
        "naive_pairs": len(of_pairs),
        "naive_seconds_scaled": naive.seconds * scale,
        "times_as_fast": naive.seconds * scale / ours.seconds,
        "times_as_fast_cpu": naive.cpu_seconds * scale / ours.cpu_seconds,
    }


def _timed(what: str, call: Callable[[], _Found]) -> tuple[_Found, Timing]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, Timing(what, time.perf_counter() - wall, time.process_time() - cpu)
