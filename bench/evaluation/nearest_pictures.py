"""Pictures of the samples that are most like copies, as `memorization` measured them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from bench.errors import NotApplicable
from bench.metrics.base import Context, Metric, SampleSet
from bench.metrics.features.memorization import Memorization

SHOWN = 10

Array = np.ndarray[Any, np.dtype[Any]]


def nearest_pictures(
    metrics: Iterable[Metric], draw: Callable[[], SampleSet], context: Context
) -> dict[str, Array]:
    """Return samples of those that `draw` gives, with the nearest training and test images.

    They are those that are nearer to training than to test images by the largest factor.

    `NotApplicable` if no metric is `memorization`; the first that is says what is near.
    """
    metric = next((metric for metric in metrics if isinstance(metric, Memorization)), None)
    if metric is None:
        raise NotApplicable("`memorization` is not among the metrics of its sweep")
    context.require_gray_or_color()
    found = metric.neighbors(draw(), context)
    (from_train, of_train), (from_test, of_test) = found.in_train, found.in_test
    ratios = torch.where(from_train == from_test, 1.0, from_train / from_test)
    order = ratios.argsort(stable=True)[:SHOWN]
    shown = (
        images.x[images.indices[places]].permute(0, 2, 3, 1).numpy()
        for images, places in (
            (found.samples, order),
            (found.train, of_train[order]),
            (found.test, of_test[order]),
        )
    )
    return {"neighbors": np.stack([*shown]), "neighbors_ratio": ratios[order].numpy()}
