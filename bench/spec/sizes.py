"""What a run needs of memory, as far as its configuration says."""

import math
from typing import TYPE_CHECKING

from bench.spec.run_settings import Training
from bench.spec.validation import KeyProblem

if TYPE_CHECKING:
    from bench.data.base import DataSpec
    from bench.training.interface import ConditionalGenerator

STATE_SIZES = {"adam": 2, "adamw": 2, "sgd": 1}
"""Numbers that an optimizer keeps for each parameter, at most."""

MOST_MEMORY = 4 * 2**40
"""Bytes for one run. It is not the memory of this machine, since another one may train."""


def refuse_impossible_sizes(
    training: Training, model: "ConditionalGenerator", spec: "DataSpec", samples: int
) -> None:
    """Raise a `KeyProblem` if weights, a batch or samples of a run need more than `MOST_MEMORY`.

    `model` is on the device `meta`; `samples` is their number in all classes. A batch of one
    example is refused where a layer would normalize over it alone.
    """
    from torch.nn import BatchNorm1d

    example = math.prod(spec.shape)
    parameters = sum(p.numel() for p in model.parameters())
    states = sum(
        p.numel() * (1 + STATE_SIZES[training.optimizers[player]["name"]])  # with the gradient
        for player, owned in model.players().items()
        for p in owned
    )
    needs = {
        "model": (
            4 * (parameters + states),
            f"{parameters:.3g} parameters with gradients and optimizers",
        ),
        "batch_size": (4 * example * training.batch_size, "a batch"),
        "samples_per_class": (2 * example * samples, "samples and real images"),
    }
    for key, (needed, what) in needs.items():
        if needed > MOST_MEMORY:
            raise KeyProblem(
                (key,),
                f"{what} need {needed / 2**30:.4g} GiB, more than {MOST_MEMORY >> 40} TiB",
            )
    of_batch = {"batch_size": training.batch_size, "labeled_rows": training.labeled_rows}
    for key, count in of_batch.items():
        if count == 1 and any(isinstance(m, BatchNorm1d) for m in model.modules()):
            raise KeyProblem(
                (key,),
                f"must be at least 2 for {training.model['name']}, since batch norm compares the "
                "examples of a batch",
            )
