"""Which training examples carry a label, and in which form a model is given it."""

from collections.abc import Collection

import torch
from torch import Tensor

from bench.data.base import DataSet, Split
from bench.data.splits import choose_per_class
from bench.data.stream import Stream
from bench.errors import SpecError
from bench.spec.run_settings import Training


def make_stream(
    training: Training, data: DataSet, device: torch.device, capabilities: Collection[str]
) -> Stream:
    """Return the batches of a run for a model of these capabilities."""
    split, spec, unlabeled = data.train, data.spec, data.unlabeled
    if training.labeled_fraction < 1:
        split, hidden = hide_labels(split, training.labeled_fraction, training.seed, spec.classes)
        if not len(hidden):
            raise SpecError(
                f"{training.labeled_fraction} of {len(split)} training examples leaves none "
                "without label",
                key="labeled_fraction",
            )
        if training.labeled_rows != training.batch_size:
            unlabeled = hidden if unlabeled is None else torch.cat((hidden, unlabeled))
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


def hide_labels(split: Split, fraction: float, seed: int, classes: int) -> tuple[Split, Tensor]:
    """Return a random share of the examples of each class, and the others without their labels.

    At least one of each class keeps its label; a larger fraction keeps those that a smaller one
    keeps.
    """
    counts = torch.bincount(split.y, minlength=classes)
    kept = [max(1, round(fraction * int(count))) for count in counts]
    mask = choose_per_class(split.y, kept, seed, "labeled")
    return Split(split.x[mask], split.y[mask]), split.x[~mask]
