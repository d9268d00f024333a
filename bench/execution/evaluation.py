"""One finished run, one sample set, every figure.

The real test images go through the same functions as the samples, as a row of their own.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.base import DataSet, DataSpec, to_bytes
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context, Measurement, Metric, SampleSet
from bench.seeding import generator_for
from bench.training.interface import ConditionalGenerator, as_given

SAMPLING_BATCH = 250  # part of the definition of the sample set: a batch has one random stream
SHOWN_PER_CLASS = 10

Array = np.ndarray[Any, np.dtype[Any]]


@torch.inference_mode()
def draw_samples(
    model: ConditionalGenerator, spec: DataSpec, per_class: int, seed: int, device: torch.device
) -> SampleSet:
    """Draw the sample set of a run.

    Args:
        model: A trained model in evaluation mode.
        spec: Its data.
        per_class: Samples of each class.
        seed: Seed of the run; batch `b` draws from the stream `("samples", b)`.
        device: Where the model is.

    Returns:
        Samples ordered by class.

    Raises:
        BenchError: If samples are not finite.
    """
    labels = torch.arange(spec.classes).repeat_interleave(per_class)
    parts = []
    for index, y in enumerate(torch.split(labels, SAMPLING_BATCH)):
        given = as_given(model, spec, y.to(device))
        x = model.sample(given, generator_for(seed, "samples", index))
        if not bool(torch.isfinite(x).all()):
            raise BenchError("the model's samples contain values that are not finite")
        parts.append(to_bytes(x.float()).cpu())
    return SampleSet(torch.cat(parts), labels, spec)


def reference_samples(data: DataSet, per_class: int) -> SampleSet:
    """Choose real test examples, equally many of each class.

    Args:
        data: The data set.
        per_class: How many of each class, or as many as the smallest class has.

    Returns:
        Test examples ordered by class.
    """
    test = data.test
    counts = torch.bincount(test.y, minlength=data.spec.classes)
    size = min(per_class, int(counts.min()))
    rows = []
    for label in range(data.spec.classes):
        members = torch.nonzero(test.y == label).squeeze(1)
        order = torch.randperm(len(members), generator=generator_for(0, "reference", label))
        rows.append(members[order[:size]])
    chosen = torch.cat(rows)
    return SampleSet(test.x[chosen], test.y[chosen], data.spec)


def measure(
    metrics: Iterable[Metric], samples: SampleSet, context: Context, *, step: int, split: str
) -> list[dict[str, Any]]:
    """Measure a sample set.

    Args:
        metrics: What to measure.
        samples: Generated or real examples.
        context: Real data, device, caches.
        step: Iterations of the model.
        split: `samples` or `real`.

    Returns:
        Rows for the record.
    """
    rows = []
    for metric in metrics:
        try:
            measurements = metric.measure(samples, context)
        except NotApplicable as reason:
            measurements = [Measurement(metric.name, "", None, str(reason))]
        rows += [{"step": step, "split": split, **found._asdict()} for found in measurements]
    return rows


def save_shown(samples: SampleSet, path: Path) -> Array:
    """Keep a few samples of each class, for pictures made without the model.

    Args:
        samples: Ordered by class.
        path: An `.npz`; holds `x` (`[K, n, H, W, C]` uint8, or `[K, n, 2]`) and the class `names`.

    Returns:
        What is kept as `x`.
    """
    per_class = samples.per_class
    shown = min(per_class, SHOWN_PER_CLASS if samples.spec.is_image else per_class)
    x = samples.x.reshape(samples.spec.classes, per_class, *samples.x.shape[1:])[:, :shown]
    if samples.spec.is_image:
        x = x.permute(0, 1, 3, 4, 2)
    temporary = path.with_suffix(".partial.npz")
    kept: Array = x.numpy()
    np.savez_compressed(temporary, x=kept, names=np.array(samples.spec.class_names))
    temporary.replace(path)
    return kept
