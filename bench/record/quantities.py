"""What a number of the record is called, which values of it are better, and how it is printed.

The quantities of a metric are declared by its class (`bench.metrics.base.Metric.quantities`) and
written into `sweep.json` when it is measured, so that reports know those of another package too and
import no metric. Those that are counted or timed stand here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Direction = Literal["higher", "lower", "real", "one"]
"""Which values are better: `real` means the nearer to the value of the real images, `one` to 1."""


@dataclass(frozen=True)
class Quantity:
    """What one number means.

    Attributes:
        title: Its name for people, with the unit.
        direction: Which values are better; None where that is for nobody but the reader to say.
        decimals: Digits after the point; None for four significant digits.
        scale: What a value is multiplied by to be printed in the title's unit; files keep it as is.
    """

    title: str
    direction: Direction | None = None
    decimals: int | None = None
    scale: float = 1.0

    def describe(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """Return what `describe` described; keys of later versions are left out."""
        return cls(**{key: described[key] for key in cls.__match_args__ if key in described})


COST: Mapping[str, Quantity] = {
    "parameters": Quantity("Parameters (M)", decimals=3, scale=1e-6),
    "sampling_parameters": Quantity("Sampling parameters (M)", decimals=3, scale=1e-6),
    "multiply_adds_per_iteration": Quantity("MACs / iteration (G)", decimals=3, scale=1e-9),
    "images_per_iteration": Quantity("Images / iteration", decimals=0),
    "multiply_adds_per_sample": Quantity("MACs / sample (M)", decimals=2, scale=1e-6),
    "relevant_code": Quantity("Relevant code", decimals=0),
    "irrelevant_code": Quantity("Irrelevant code", decimals=0),
}
"""What is counted before the training: the metrics of `cost.jsonl`."""

TIMINGS: Mapping[str, Quantity] = {"train_seconds": Quantity("Training (s)", decimals=1)}
"""What a clock tells: metrics of `timings.jsonl`."""
