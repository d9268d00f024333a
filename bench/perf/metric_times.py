"""Times of an evaluation on this machine, metric by metric."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch

from bench.errors import NotApplicable
from bench.evaluation.measuring import measure
from bench.evaluation.sampling import draw_samples
from bench.metrics.base import Metric
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.process.worker import Worker
from bench.spec.run_settings import Training
from bench.training.trainer import build_model


def time_metrics(
    metrics: Iterable[Metric], training: Training, per_class: int, worker: Worker
) -> dict[str, Any]:
    """Time each metric on samples of an untrained model; the first pays for what others share."""
    context = worker.context_of(training.data)
    spec, device = context.data.spec, worker.device
    with worker.computing(spec):
        model = build_model(training, context.data, device).eval()
        context = replace(context, model=model)
        setup: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        # Points have no classifier, and the metrics will say so.
        with suppress(NotApplicable), _timed("training the domain classifier", setup):
            domain_classifier(context)
        with _timed(f"drawing {per_class * spec.classes} samples", setup):
            samples = draw_samples(model, spec, per_class, 0, device)
        for metric in metrics:
            with _timed(metric.name, rows):
                entries = measure([metric], samples, context, step=0, split="samples")
            reasons = [entry["reason"] for entry in entries if entry["value"] is None]
            rows[-1]["reason"] = "".join(reasons[:1])
        threads = torch.get_num_threads()
    sums = {key: sum(row[key] for row in rows) for key in ("seconds", "cpu_seconds")}
    return {
        "data": training.data,
        "model": training.model["name"],
        "samples": len(samples.y),
        "device": str(device),
        "threads": threads,
        "setup": setup,
        "metrics": rows,
        "total": {"what": "total", **sums, "reason": ""},
    }


@contextmanager
def _timed(what: str, rows: list[dict[str, Any]]) -> Iterator[None]:
    """Append the wall seconds and the CPU seconds (of all threads) of a block that succeeds."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    rows.append({"what": what, "seconds": seconds, "cpu_seconds": cpu_seconds, "reason": ""})
