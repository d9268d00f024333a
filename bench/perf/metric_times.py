"""How long an evaluation takes on this machine, metric by metric."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import torch

from bench.errors import NotApplicable
from bench.evaluation.measuring import draw_samples, measure
from bench.metrics.base import Metric
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.process.worker import Worker
from bench.spec.run_settings import Training
from bench.training.trainer import build_model

_Result = TypeVar("_Result")


class Timing(NamedTuple):
    """Wall seconds and CPU seconds (of all threads), or the reason why a metric has no value."""

    what: str
    seconds: float
    cpu_seconds: float
    reason: str = ""


def time_metrics(
    metrics: Iterable[Metric], training: Training, per_class: int, worker: Worker
) -> dict[str, Any]:
    """Time each metric on samples of an untrained model; the first pays for what others share."""
    context = worker.context_of(training.data)
    spec, device = context.data.spec, worker.device
    with worker.computing(spec):
        model = build_model(training, context.data, device).eval()
        context = replace(context, model=model)
        setup = []
        with suppress(NotApplicable):  # points have none, and the metrics will say so
            _, timing = _timed("training the domain classifier", lambda: domain_classifier(context))
            setup.append(timing)
        samples, timing = _timed(
            f"drawing {per_class * spec.classes} samples",
            lambda: draw_samples(model, spec, per_class, 0, device),
        )
        setup.append(timing)
        rows = []
        for metric in metrics:
            entries, timing = _timed(
                metric.name,
                lambda metric=metric: measure([metric], samples, context, step=0, split="samples"),  # type: ignore[misc]
            )
            reasons = [entry["reason"] for entry in entries if entry["value"] is None]
            rows.append(timing._replace(reason="".join(reasons[:1])))
        threads = torch.get_num_threads()
    total = Timing("total", sum(r.seconds for r in rows), sum(r.cpu_seconds for r in rows))
    return {
        "data": training.data,
        "model": training.model["name"],
        "samples": len(samples.y),
        "device": str(device),
        "threads": threads,
        "setup": [row._asdict() for row in setup],
        "metrics": [row._asdict() for row in rows],
        "total": total._asdict(),
    }


def _timed(what: str, call: Callable[[], _Result]) -> tuple[_Result, Timing]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, Timing(what, time.perf_counter() - wall, time.process_time() - cpu)
