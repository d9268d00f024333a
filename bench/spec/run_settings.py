"""The schema of one run's settings; `run_config` checks names and options of registered classes."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter


def as_component(value: Any) -> Any:
    """Expand the shorthand `cvae` to `{name: cvae}`."""
    return {"name": value} if isinstance(value, str) else value


def at_most(limit: float, why: str) -> AfterValidator:
    """Return a bound of a number, with its reason for the message."""

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"must be at most {limit:_}, since {why}")
        return value

    return AfterValidator(check)


Component = Annotated[dict[str, Any], BeforeValidator(as_component)]
IN_FLOAT32 = at_most(1e30, "trainings compute in float32")
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), IN_FLOAT32]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), IN_FLOAT32]
Beta = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0), at_most(2**63 - 1, "seeds are kept as 64-bit integers")]
Unit = Literal["iterations", "epochs"]


class Strict(BaseModel):
    """A schema that refuses unknown keys and never takes a string for a number."""

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
    """A rate that falls in a straight line from `start` on, to `final` times the full rate."""

    name: Literal["linear"]
    start: NonNegative = 0.0
    final: NonNegative = 0.0
    unit: Unit = "iterations"


Schedule = Annotated[Constant | Drop | Staircase | Linear, Field(discriminator="name")]


class Adam(Strict):
    """Adam with the reference code's coefficients."""

    name: Literal["adam"] = "adam"
    rate: Positive = 5e-4
    betas: tuple[Beta, Beta] = (0.0, 0.9)
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
    """Everything that can change what is learned; a run's id is the hash of its complete form."""

    model: Component
    """The model: its registered name, or its name and options."""
    data: Component
    """The data set: its registered name, or its name and options."""
    seed: Seed
    """Seed of initialization, data order and noise."""
    iterations: Annotated[int, Field(gt=0), at_most(10**9, "more would take years")]
    """Trips through the stages of the model."""
    batch_size: Annotated[int, Field(gt=0), at_most(10**6, "a batch is held in memory")] = 96
    """Examples of a batch."""
    labeled_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training examples of each class that keep their label."""
    unlabeled: Component | None = None
    """A further data set, used without its labels."""
    labeled_rows: Annotated[int, Field(ge=0)] = 0
    """Examples of a batch that carry a label, the first ones. 0 means half of them where
    there are examples without label, and for all of them otherwise. As many as `batch_size` leave
    the examples without label unused."""
    objective: dict[str, dict[str, NonNegative]] = {}
    """Player -> term -> weight, an edit of what the model declares; 0 drops a term."""
    optimizers: dict[str, dict[str, Any]] = {}
    """Player, or `default` for all -> optimizer, an edit of what the model declares."""
    average: Average | None = None
    """Weights averaged for sampling; off where None."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """`bfloat16` runs the networks under autocast; `tf32` lets a GPU round the factors of matrix
    products and convolutions to 10 bits, and is `float32` elsewhere."""
    clip_norm: Positive | None = None
    """Largest norm of each player's gradient; unbounded where None."""
    deterministic: bool = False
    """Demand deterministic kernels from torch."""


class Evaluation(Strict):
    """The measurements of a finished run; not part of the id."""

    metrics: list[Component] = []
    """Names and options of registered metrics."""
    samples_per_class: Annotated[
        int, Field(gt=0), at_most(10**6, "all samples are held in memory")
    ] = 500
    """Samples drawn of each class; of controls and real images as many."""
    controls: list[str] = ["real"]
    """Names of registered controls, a row of the tables each."""
    snapshots: Annotated[int, Field(gt=0), at_most(1000, "the weights of each are kept")] = 1
    """How often a run is measured, in equal parts of its training; the last time is the last
    iteration. The weights of each time are kept."""
    splits: Annotated[list[Literal["test", "validation"]], Field(min_length=1)] = ["test"]
    """The real images that samples are compared with. Tables show `test`; what is measured on
    `validation` is for choosing, with other evaluators."""

    def steps(self, iterations: int) -> list[int]:
        """Return the numbers of iterations after which a run is measured, in order."""
        return [iterations * part // self.snapshots for part in range(1, self.snapshots + 1)]


class Comparisons(Strict):
    """The comparisons whose p values are corrected together, said before any result is known.

    They change no run and no measurement, and are not part of an id.
    """

    reference: str = ""
    """The variant that others are compared with; that of the table where empty."""
    variants: list[str] = []
    """Variants that are compared with it; all of them where empty."""
    metrics: list[str] = []
    """Quantities in which they are compared; all of them where empty."""


class RunSettings(Training, Evaluation):
    """The settings of one run as a sweep file gives them, before defaults are filled in."""


def optimizer_settings(recorded: Mapping[str, Any]) -> Adam | AdamW | SGD:
    """Return the optimizer of a player from its complete settings as plain data."""
    settings: Adam | AdamW | SGD = TypeAdapter(Optimizer).validate_json(json.dumps(recorded))
    return settings
