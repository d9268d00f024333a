"""What a sweep may say about one run: the schema, as pydantic models.

Unknown keys are refused, and a text is never taken for a number. Nothing here looks at a
registry: `bench.spec.run_config` checks names and options, and fills in what belongs to them.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter


def _named(value: Any) -> Any:
    """Expand the shorthand `cvae` to `{name: cvae}`."""
    return {"name": value} if isinstance(value, str) else value


Component = Annotated[dict[str, Any], BeforeValidator(_named)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Unit = Literal["iterations", "epochs"]


class Strict(BaseModel):
    """Unknown keys are refused, and a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Constant(Strict):
    """The rate stays as it is."""

    name: Literal["constant"] = "constant"


class Drop(Strict):
    """The rate is multiplied by `factor` once, `at` that time."""

    name: Literal["drop"]
    at: Positive
    factor: Positive
    unit: Unit = "iterations"


class Staircase(Strict):
    """The rate is multiplied by `factor` again and again, each time `every` has passed."""

    name: Literal["staircase"]
    every: Positive
    factor: Positive
    unit: Unit = "iterations"


class Linear(Strict):
    """The rate falls in a straight line from `start` on, to `final` of itself at the last step."""

    name: Literal["linear"]
    start: Weight = 0.0
    final: Weight = 0.0
    unit: Unit = "iterations"


Schedule = Annotated[Constant | Drop | Staircase | Linear, Field(discriminator="name")]


class Adam(Strict):
    """Adam with the reference code's coefficients."""

    name: Literal["adam"] = "adam"
    rate: Positive = 5e-4
    betas: tuple[float, float] = (0.0, 0.9)
    eps: Positive = 1e-8
    schedule: Schedule = Constant()


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: Weight = 0.01


class SGD(Strict):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    rate: Positive = 5e-4
    momentum: Weight = 0.0
    weight_decay: Weight = 0.0
    schedule: Schedule = Constant()


Optimizer = Annotated[Adam | AdamW | SGD, Field(discriminator="name")]


class Average(Strict):
    """Exponential moving average of the weights of some players, used for sampling."""

    decay: Annotated[float, Field(gt=0, lt=1)]
    players: Annotated[list[str], Field(min_length=1)]


class Training(Strict):
    """All that can change what is learned; the id of a run is the hash of its complete form.

    Attributes:
        model: Name and options of a registered model.
        data: Name and options of a registered data set.
        seed: Seed of initialization, data order and noise.
        iterations: Trips through the stages.
        batch_size: Rows of a draw.
        labeled_fraction: Share of the training examples of each class that keep their label.
        unlabeled: Name and options of a further data set, used without its labels.
        labeled_rows: Rows of a draw that carry a label, the first ones. 0 stands for half of them
            where there are examples without label, and for all of them otherwise. As many as
            `batch_size` leave the examples without label unused.
        objective: Player -> term -> weight; what is written edits the model's own table.
        optimizers: Player (or `default`) -> optimizer; edits the model's own table.
        average: Weights averaged for sampling; off where None.
        precision: `bfloat16` runs the networks under autocast; `tf32` lets a GPU round what goes
            into matrix products and convolutions to 10 bits, and is `float32` elsewhere.
        clip_norm: Largest norm of each player's gradient; unbounded where None.
        deterministic: Demand deterministic kernels from torch.
    """

    model: Component
    data: Component
    seed: Annotated[int, Field(ge=0)]
    iterations: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)] = 96
    labeled_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    unlabeled: Component | None = None
    labeled_rows: Annotated[int, Field(ge=0)] = 0
    objective: dict[str, dict[str, Weight]] = {}
    optimizers: dict[str, dict[str, Any]] = {}
    average: Average | None = None
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    clip_norm: Positive | None = None
    deterministic: bool = False


class Evaluation(Strict):
    """What is measured on a finished run; not part of the id.

    Attributes:
        metrics: Names and options of registered metrics.
        samples_per_class: Samples drawn for each class, and real test images beside them.
        controls: Names of registered controls, a row each; measured in the same number.
        snapshots: How often a run is measured, in equal parts of its training; the last time is
            the last iteration. The weights of each time are kept.
        splits: What samples are compared with. Figures on `validation` are for choosing, by
            judges of their own; tables are made from `test`.
    """

    metrics: list[Component] = []
    samples_per_class: Annotated[int, Field(gt=0)] = 500
    controls: list[str] = ["real"]
    snapshots: Annotated[int, Field(gt=0)] = 1
    splits: Annotated[list[Literal["test", "validation"]], Field(min_length=1)] = ["test"]

    def steps(self, iterations: int) -> list[int]:
        """Return the numbers of iterations after which a run is measured, the last one last."""
        return [iterations * part // self.snapshots for part in range(1, self.snapshots + 1)]


class RunSettings(Training, Evaluation):
    """What one point of a sweep says, before defaults are filled in."""


def optimizer_settings(table: Mapping[str, Any]) -> Adam | AdamW | SGD:
    """Return the optimizer that one complete row of the `optimizers` table describes."""
    found: Adam | AdamW | SGD = TypeAdapter(Optimizer).validate_json(json.dumps(table))
    return found
