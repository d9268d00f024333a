"""Quantities: the title of a number of the record, which values are better, and its printed form.

A metric class declares its quantities (`bench.metrics.base.Metric.quantities`). They are written
into `sweep.json` when a sweep is run, so that reports import no metric. What is counted or timed is
declared here.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, Self, get_args

from bench import registry
from bench.errors import BenchError

Direction = Literal["higher", "lower", "real", "one"]
"""Which values are better: `real` means the nearer to the value of the real images, `one` to 1."""

QuantityKind = Literal["measured", "counted", "timed"]


@dataclass(frozen=True)
class Quantity:
    """The meaning of one number.

    Attributes:
        title: Name for display, with the unit.
        direction: Which values are better; None where that is for the reader to judge.
        decimals: Digits after the point; None for four significant digits.
        scale: Factor that turns a recorded value into the title's unit.
    """

    title: str
    direction: Direction | None = None
    decimals: int | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.direction not in (None, *get_args(Direction)):
            known = ", ".join(get_args(Direction))
            raise BenchError(
                f"unknown direction {self.direction!r} of {self.title!r}; known: {known}"
            )

    def text(self, value: float, sign: Literal["", "+"] = "") -> str:
        """Return a value as it is printed; with sign `+` positive values get one too.

        >>> Quantity("Parameters (M)", decimals=2, scale=1e-6).text(367552)
        '0.37'
        """
        form = "z.4g" if self.decimals is None else f"z.{self.decimals}f"
        return f"{value * self.scale:{sign}{form}}"

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """Return the quantity of fields in `sweep.json`; keys of later versions are ignored."""
        return cls(**{key: described[key] for key in cls.__match_args__ if key in described})


COST: Mapping[str, Quantity] = {
    "parameters": Quantity("Parameters (M)", decimals=3, scale=1e-6),
    "sampling_parameters": Quantity("Sampling parameters (M)", decimals=3, scale=1e-6),
    "multiply_adds_per_iteration": Quantity("MACs / iteration (G)", decimals=3, scale=1e-9),
    "images_per_iteration": Quantity("Images / iteration", decimals=0),
    "multiply_adds_per_sample": Quantity("MACs / sample (M)", decimals=2, scale=1e-6),
    "relevant_code": Quantity("Relevant code", decimals=0),
    "irrelevant_code": Quantity("Irrelevant code", decimals=0),
    "price_per_nat": Quantity("Price / nat"),
}
"""Counts made before the training: the quantities of `cost.jsonl`."""

TIMINGS: Mapping[str, Quantity] = {
    "train_seconds": Quantity("Training (s)", decimals=1),
    "images_per_second": Quantity("Training (images / s)"),
    "iterations_per_second": Quantity("Training (iterations / s)"),
    "peak_memory_bytes": Quantity("Peak memory (GiB)", decimals=2, scale=2**-30),
}
"""Times and memory of a training: the quantities of `timings.jsonl`."""


def kind_of(name: str) -> QuantityKind:
    """Return whether a quantity is counted, timed or measured."""
    return "counted" if name in COST else "timed" if name in TIMINGS else "measured"


@dataclass(frozen=True)
class Quantities:
    """Quantities by the names that numbers carry in the record.

    A name `fid/per_class` is the quantity `fid` with the part behind its title. What no sweep has
    `described` is asked of the registered metrics. A name that nobody knows is its own title.
    `overrides` are fields that a user wants otherwise.
    """

    described: Mapping[str, Quantity] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Quantity:
        whole, _, part = name.partition("/")
        known: Mapping[str, Quantity] = {**COST, **TIMINGS, **self.described}
        if name not in known and whole not in known:
            known = _registered()  # the last resort, since it imports torch
        quantity = known.get(name, Quantity(name))
        if name not in known and whole in known:
            base = replace(known[whole], **self.overrides.get(whole, {}))
            quantity = replace(base, title=f"{base.title}, {part.replace('_', ' ')}")
        return replace(quantity, **self.overrides.get(name, {}))


@cache
def registered_metrics() -> Mapping[str, Any]:
    """Return the classes of all registered metrics by name; this imports them, and torch."""
    classes = {}
    for name in registry.registered("metric"):
        with suppress(BenchError):  # another package's metric that cannot be imported
            classes[name] = registry.load("metric", name)
    return classes


def _registered() -> Mapping[str, Quantity]:
    """Return what registered metrics measure, and the whole of a metric that has several."""
    known: dict[str, Quantity] = {}
    for name, metric in registered_metrics().items():
        known |= {name: Quantity(name.replace("_", " ").capitalize())} | metric.quantities
    return known
