"""The schema of one run's settings; `run_config` checks names and options of registered classes."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from bench.spec.validation import without_later


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
BelowOne = Annotated[float, Field(ge=0, lt=1)]
"""A share that is never all, such as a momentum or a dropout."""
AtLeastOne = Annotated[int, Field(ge=1)]
"""A number of things; 0 is refused where an option is read."""
Seed = Annotated[int, Field(ge=0), at_most(2**63 - 1, "seeds are kept as 64-bit integers")]
Unit = Literal["iterations", "epochs", "share"]


class Strict(BaseModel):
    """A schema that refuses unknown keys and never takes a string for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    later_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that ids are older than: left out of a dump where they have their defaults."""

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_later(dump(self), type(self), self.later_fields)


class ScheduleBase(Strict):
    """What every schedule can have; times are in its unit.

    A weight's schedule spans the run. A rate's spans the iterations from the first to the last in
    which its player may move.
    """

    unit: Unit = "iterations"
    """Unit of its times. An epoch is the iterations in which one batch each makes a pass over the
    training images (Lr-LiVAE, with three, makes three passes); `share` is a share of its span,
    between 0 and 1."""
    warmup: NonNegative = 0.0
    """Time in which the factor rises in a straight line from 0, on top of what follows."""

    later_fields: ClassVar[tuple[str, ...]] = ("warmup",)

    @field_validator("warmup", "at", "every", "start", check_fields=False)
    @classmethod
    def _is_in_the_run(cls, time: float, known: ValidationInfo) -> float:
        if known.data.get("unit") == "share" and time > 1:
            raise ValueError("must be at most 1, since its unit is a share of its span")
        return time


class Constant(ScheduleBase):
    """A factor of 1 at all times."""

    name: Literal["constant"] = "constant"

    later_fields = ("warmup", "unit")


class Drop(ScheduleBase):
    """A factor that is 1, and `factor` from the time `at` on."""

    name: Literal["drop"]
    at: Positive
    factor: Positive


class Staircase(ScheduleBase):
    """A factor that is multiplied by `factor` each time `every` has passed."""

    name: Literal["staircase"]
    every: Positive
    factor: Positive


class Linear(ScheduleBase):
    """A factor that goes in a straight line from 1 at `start` to `final` at the end of its span."""

    name: Literal["linear"]
    start: NonNegative = 0.0
    final: NonNegative = 0.0


class Cosine(ScheduleBase):
    """A factor that follows half a cosine from 1 at `start` to `final` at the end of its span."""

    name: Literal["cosine"]
    start: NonNegative = 0.0
    final: NonNegative = 0.0


class Piecewise(ScheduleBase):
    """A factor that goes in straight lines through points, and stays before and after them."""

    name: Literal["piecewise"]
    points: Annotated[list[tuple[NonNegative, NonNegative]], Field(min_length=2)]
    """Pairs of a time and the factor then, `[[0, 0.1], [500, 1], [2000, 0.01]]`."""

    @field_validator("points")
    @classmethod
    def _are_in_order(
        cls, points: list[tuple[float, float]], known: ValidationInfo
    ) -> list[tuple[float, float]]:
        if any(after <= before for (before, _), (after, _) in pairwise(points)):
            raise ValueError("the times of points must increase")
        cls._is_in_the_run(points[-1][0], known)
        return points


class FunctionSchedule(ScheduleBase):
    """A factor that a function of your own package returns.

    It is called as `function(step, iterations=..., epoch=..., **options)`: the iteration, from 0
    on, the length of the span, and the iterations in which one batch each makes a pass over the
    training images. It depends on nothing else and returns a finite number, at least 0. Its code is
    code of the run.
    """

    name: Literal["function"]
    function: str
    """Where it is, `my_package.rates:one_cycle`."""
    options: dict[str, Any] = {}
    """Further arguments; those left out have their defaults."""


Schedule = Annotated[
    Constant | Drop | Staircase | Linear | Cosine | Piecewise | FunctionSchedule,
    Field(discriminator="name"),
]


class Adam(Strict):
    """Adam with the reference code's coefficients."""

    name: Literal["adam"] = "adam"
    rate: Positive = 5e-4
    betas: tuple[BelowOne, BelowOne] = (0.0, 0.9)
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


class ScheduledWeight(Strict):
    """A weight of the objective that changes: its full value, times the factor of a schedule."""

    weight: Positive
    schedule: Schedule

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class WeightEdit(Strict):
    """A weight that changes; without a schedule it is that of the model, which then has one."""

    weight: Positive
    schedule: Schedule | None = None


def _kind_of_weight(value: Any) -> str:
    return "scheduled" if isinstance(value, Mapping | BaseModel) else "constant"


Weight = Annotated[
    Annotated[NonNegative, Tag("constant")] | Annotated[ScheduledWeight, Tag("scheduled")],
    Discriminator(_kind_of_weight),
]
GivenWeight = Annotated[
    Annotated[NonNegative, Tag("constant")] | Annotated[WeightEdit, Tag("scheduled")],
    Discriminator(_kind_of_weight),
]


def _share_or_iteration(value: float) -> float:
    if isinstance(value, float) and value > 1:
        raise ValueError(
            "a number with a decimal point is a share of the run, from 0.0 to 1.0, and one "
            "without is an iteration"
        )
    return value


Time = Annotated[int | float, Field(ge=0), AfterValidator(_share_or_iteration)]
"""A share of the run (a float), or an iteration (an int)."""


class StageEdit(Strict):
    """An edit of a stage; None leaves what the model declares (`interface.Stage`)."""

    players: tuple[str, ...] | None = None
    repeat: Annotated[int, Field(ge=1, le=10_000)] | None = None
    fresh: bool | None = None
    start: Time | None = None
    end: Time | None = None
    every: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch: Annotated[float, Field(gt=0, le=1000)] | None = None

    later_fields = ("players", "repeat", "fresh", "start", "end", "every", "batch")


class Average(Strict):
    """Exponential moving average of the weights of some players, used for sampling."""

    decay: Annotated[float, Field(gt=0, lt=1)]
    players: Annotated[list[str], Field(min_length=1)] = []
    """Names of players; all of them where left out."""


class StartOrigin(Strict):
    """The run that weights are taken from, as it was when this was configured."""

    id: str
    sha256: str
    """Hash of its file of weights."""


class StartFrom(Strict):
    """A finished run whose weights a training begins with, in place of an initialization.

    They are those that samples come from, averages included. Optimizers and iterations start from
    zero.
    """

    run: str
    """Folder of a run, `results/SWEEP/ID`, or of a sweep, of which a variant is named."""
    variant: str | None = None
    """Variant of the sweep; its run with the same seed is taken."""
    players: Annotated[list[str], Field(min_length=1)] = []
    """Whose parameters are taken, with the buffers of their modules; everyone's where left out."""
    origin: StartOrigin | None = None
    """Filled in: whose weights these are, as a part of the id."""


class Training(Strict):
    """Everything that can change what is learned; a run's id is the hash of its complete form."""

    later_fields = ("price_per_nat", "stages", "start_from")

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
    labeled_rows: Annotated[int, Field(ge=0)]
    """Examples of a batch that carry a label, the first ones. Where left out, half of them if there
    are examples without label, and otherwise all. As many as `batch_size` leave the examples
    without label unused, and 0 those with label; terms that need labels are then dropped."""
    objective: dict[str, dict[str, Weight]] = {}
    """Player -> term -> weight, an edit of what the model declares; 0 drops a term, and `{weight,
    schedule}` is a weight that changes."""
    price_per_nat: Positive | None = None
    """Weight of each nat of the terms that a model declares as nats, the same in all models; those
    of the model where None. `objective` edits the result."""
    stages: dict[str, StageEdit] = {}
    """Stage -> its times, passes and batch, an edit of what the model declares."""
    optimizers: dict[str, dict[str, Any]] = {}
    """Player, or `default` for all -> optimizer, an edit of what the model declares. What a model
    declares for a player itself counts more than a `default` here."""
    average: Average | None = None
    """Weights averaged for sampling, in place of what the model declares; off where None."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """`bfloat16` runs the networks under autocast; `tf32` lets a GPU round the factors of matrix
    products and convolutions to 10 bits, and is `float32` elsewhere."""
    clip_norm: Positive | None = None
    """Largest norm of each player's gradient; unbounded where None."""
    deterministic: bool = False
    """Demand deterministic kernels from torch."""
    start_from: StartFrom | None = None
    """Finished run whose weights the training begins with; a new initialization where None."""


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

    sampling: dict[str, dict[str, Any]] = {}
    """Name -> sampling options: a further row each, drawn from the same trained weights. What is
    left out has the default of the model's `sample`, as in the row of the variant."""

    def steps(self, iterations: int) -> list[int]:
        """Return the numbers of iterations after which a run is measured, in order."""
        return [iterations * part // self.snapshots for part in range(1, self.snapshots + 1)]


class RunSettings(Training, Evaluation):
    """The settings of one run as a sweep file gives them, before defaults are filled in."""

    objective: dict[str, dict[str, GivenWeight]] = {}  # type: ignore[assignment]
    labeled_rows: Annotated[int, Field(ge=0)] | None = None  # type: ignore[assignment]


def optimizer_settings(recorded: Mapping[str, Any]) -> Adam | AdamW | SGD:
    """Return the optimizer of a player from its complete settings as plain data."""
    settings: Adam | AdamW | SGD = TypeAdapter(Optimizer).validate_json(json.dumps(recorded))
    return settings
