"""The schema of one run's settings; `run_config` checks names and options of registered classes."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter


def _named(value: Any) -> Any:
    """Expand the shorthand `cvae` to `{name: cvae}`."""
    return {"name": value} if isinstance(value, str) else value


Component = Annotated[dict[str, Any], BeforeValidator(_named)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Unit = Literal["iterations", "epochs"]


class Strict(BaseModel):
    """A schema that refuses unknown keys and never takes a text for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Constant(Strict):
    """A rate that stays as it is."""

    name: Literal["constant"] = "constant"


class Drop(Strict):
    """A rate that is multiplied by `factor` once, `at` that time."""

    name: Literal["drop"]
    at: Positive
    factor: Positive
    unit: Unit = "iterations"


class Staircase(Strict):
    """A rate that is multiplied by `factor` each time `every` has passed."""

    name: Literal["staircase"]
    every: Positive
    factor: Positive
    unit: Unit = "iterations"


class Linear(Strict):
    """A rate that falls in a straight line from `start` on, to `final` of itself at the end."""

    name: Literal["linear"]
    start: NonNegative = 0.0
    final: NonNegative = 0.0
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
    weight_decay: NonNegative = 0.01


class SGD(Strict):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    rate: Positive = 5e-4
    momentum: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    schedule: Schedule = Constant()


Optimizer = Annotated[Adam | AdamW | SGD, Field(discriminator="name")]


class Average(Strict):
    """Exponential moving average of the weights of some players, used for sampling."""

    decay: Annotated[float, Field(gt=0, lt=1)]
    players: Annotated[list[str], Field(min_length=1)]


class Training(Strict):
    """Everything that can change what is learned; a run's id is the hash of its complete form.

    `model`, `data` and `unlabeled` are names and options of registered classes. `objective`
    (player -> term -> weight) and `optimizers` (player, or `default`, -> optimizer) edit what the
    model declares.

    Attributes:
        seed: Seed of initialization, data order and noise.
        labeled_fraction: Share of the training examples of each class that keep their label.
        unlabeled: A further data set, used without its labels.
        labeled_rows: Examples of a batch that carry a label, the first ones. 0 stands for half of
            them where there are examples without label, and for all of them otherwise. As many as
            `batch_size` leave the examples without label unused.
        average: Weights averaged for sampling; off where None.
        precision: `bfloat16` runs the networks under autocast; `tf32` lets a GPU round the factors
            of matrix products and convolutions to 10 bits, and is `float32` elsewhere.
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
    objective: dict[str, dict[str, NonNegative]] = {}
    optimizers: dict[str, dict[str, Any]] = {}
    average: Average | None = None
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    clip_norm: Positive | None = None
    deterministic: bool = False


class Evaluation(Strict):
    """What is measured on a finished run; not part of the id.

    Attributes:
        metrics: Names and options of registered metrics.
        samples_per_class: Samples drawn of each class; of controls and real images as many.
        controls: Names of registered controls, a row of the tables each.
        snapshots: How often a run is measured, in equal parts of its training; the last time is
            the last iteration. The weights of each time are kept.
        splits: The real images that samples are compared with. Tables show `test`; what is
            measured on `validation` is for choosing, with other evaluators.
    """

    metrics: list[Component] = []
    samples_per_class: Annotated[int, Field(gt=0)] = 500
    controls: list[str] = ["real"]
    snapshots: Annotated[int, Field(gt=0)] = 1
    splits: Annotated[list[Literal["test", "validation"]], Field(min_length=1)] = ["test"]

    def steps(self, iterations: int) -> list[int]:
        """Return the numbers of iterations after which a run is measured, in order."""
        return [iterations * part // self.snapshots for part in range(1, self.snapshots + 1)]


class RunSettings(Training, Evaluation):
    """The settings of one run as a sweep file gives them, before defaults are filled in."""


def optimizer_settings(recorded: Mapping[str, Any]) -> Adam | AdamW | SGD:
    """Return the optimizer of a player from its complete settings as plain data."""
    settings: Adam | AdamW | SGD = TypeAdapter(Optimizer).validate_json(json.dumps(recorded))
    return settings
