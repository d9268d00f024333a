"""Which training examples carry a label, and in which form a model is given it."""

from collections.abc import Collection

import torch
from torch import Tensor

from bench.data.base import DataSet, Split
from bench.data.splits import hold_out
from bench.data.stream import Stream
from bench.errors import SpecError
from bench.spec.run_settings import Training


def make_stream(
    training: Training,
    data: DataSet,
    device: torch.device,
    capabilities: Collection[str],
) -> Stream:
    """Return the batches of a run: labels taken away and examples added as it says.

    Args:
        training: The complete configuration.
        data: The loaded data set.
        device: Where batches are made.
        capabilities: Those of the model, which say whether it is given attributes.

    Returns:
        The stream.

    Raises:
        SpecError: If labels are to be taken away, but all classes are too small to lose one.
    """
    split, spec, unlabeled = data.train, data.spec, data.unlabeled
    if training.labeled_fraction < 1:
        split, rest = without_labels(split, training.labeled_fraction, training.seed, spec.classes)
        if not len(rest):
            raise SpecError(
                f"{training.labeled_fraction} of {len(split)} training examples leaves none "
                "without label",
                key="labeled_fraction",
            )
        if training.labeled_rows != training.batch_size:
            unlabeled = rest if unlabeled is None else torch.cat((rest, unlabeled))
    return Stream(
        split,
        batch_size=training.batch_size,
        seed=training.seed,
        flip=data.flip,
        device=device,
        unlabeled=unlabeled,
        labeled_rows=training.labeled_rows,
        attributes=spec if spec.attributes and "attributes" in capabilities else None,
    )


def without_labels(split: Split, fraction: float, seed: int, classes: int) -> tuple[Split, Tensor]:
    """Take the labels from a part of the training examples.

    Args:
        split: The training examples.
        fraction: Share of the examples of each class that keep their label, at least one each.
        seed: Seed of the run: seeds differ in which labels are kept. A larger fraction keeps
            those that a smaller one keeps.
        classes: Number of classes.

    Returns:
        The examples that keep their label, and the others `[N, ...]`.
    """
    counts = torch.bincount(split.y, minlength=classes)
    kept = [max(1, round(fraction * int(count))) for count in counts]
    chosen = hold_out(split.y, kept, seed, "labeled")
    return Split(split.x[chosen], split.y[chosen]), split.x[~chosen]
