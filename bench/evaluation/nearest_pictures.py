"""Pictures of the samples that are nearest to training images, as `memorization` measured them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bench.errors import NotApplicable
from bench.metrics.base import Context, Metric, SampleSet
from bench.metrics.features.memorization import Memorization

SHOWN = 10

Array = np.ndarray[Any, np.dtype[Any]]


def nearest_pictures(
    metrics: Iterable[Metric], draw: Callable[[], SampleSet], context: Context
) -> dict[str, Array]:
    """Return the nearest of the samples that `draw` gives, with their training images.

    `NotApplicable` if no metric is `memorization`; the first that is says what is near.
    """
    metric = next((metric for metric in metrics if isinstance(metric, Memorization)), None)
    if metric is None:
        raise NotApplicable("`memorization` is not among the metrics of its sweep")
    context.require_gray_or_color()
    found = metric.neighbors(draw(), context)
    distances, places = found.nearest
    order = distances.argsort(stable=True)[:SHOWN]
    shown = found.samples.x[found.samples.indices[order]]
    training = found.train.x[found.train.indices[places[order]]]
    images = np.stack([side.permute(0, 2, 3, 1).numpy() for side in (shown, training)])
    threshold = found.threshold(metric.quantile)
    return {
        "nearest": images,
        "nearest_distance": distances[order].numpy(),
        "nearest_threshold": threshold.numpy(),
    }
