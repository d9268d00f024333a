"""The search space of a study: settings and their ranges, by default the loss weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from bench.spec.located import Located, nested
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import ScheduledWeight, Strict, Weight
from bench.spec.sweep_file import complete_variant

Scalar = bool | int | float | str
Values = Mapping[str, Scalar]
"""Name of a range -> value."""

FACTOR = 10.0  # how far a loss weight may move from its value, up and down, if nobody says
DIGITS = 4  # of numbers that are tried: what a patch shows is what was run


Bound = Annotated[float, Field(ge=-1e30, le=1e30)]


class SearchRange(Strict):
    """The values of one number or word: from `low` to `high`, or one of `choices`.

    `keys` are the dotted settings that share the value; the name of the range where empty. `log`:
    propose log-uniformly.
    """

    keys: list[str] = []
    low: Bound | None = None
    high: Bound | None = None
    log: bool = True
    integer: bool = False
    choices: list[Scalar] = []

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None:
                raise ValueError("give low and high, or choices, not both")
            if len(self.choices) < 2:
                raise ValueError("choices must be at least two")
            if any(self.choices.index(choice) < n for n, choice in enumerate(self.choices)):
                raise ValueError("choices must be distinct")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0, got {self.low}; or set log: false")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("low and high of an integer must be whole numbers")
        return self

    def contains(self, value: object) -> bool:
        """Return whether a value lies in the range."""
        if self.choices:
            return value in self.choices
        low, high = self.bounds
        return isinstance(value, int | float) and low <= value <= high

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value of a range without choices."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    @property
    def extremes(self) -> list[Scalar]:
        """Values to check a space with: the choices, or both bounds."""
        return self.choices or [self.rounded(value) for value in self.bounds]

    def rounded(self, value: Scalar) -> Scalar:
        """Return a value as it is tried: few digits, and a whole number where one is wanted."""
        if self.choices or isinstance(value, str):
            return value
        return round(value) if self.integer else float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class TunedVariant:
    """One variant that is tuned; a study of its own.

    `settings` are all but the seed, measured on validation images; `patch` is what the variant
    changes in the base of the file. `space` has the ranges by name, `lines` where each was written.
    """

    name: str
    settings: Located
    patch: Located
    space: Mapping[str, SearchRange]
    lines: Mapping[str, str]

    def keys(self, name: str) -> list[str]:
        """Return the settings that a range varies."""
        return self.space[name].keys or [name]

    def run(self, values: Values, seed: int) -> RunConfig:
        """Return one run of a trial; a `SpecError` names the place in the file if it cannot be."""
        return complete_variant(self._edited(self.settings, values), self.name, seed)

    def patch_of(self, values: Values) -> dict[str, Any]:
        """Return the patch of the file's base that makes a variant with the values of a trial."""
        return dict(self._edited(self.patch, values).value)

    def _edited(self, settings: Located, values: Values) -> Located:
        for name, value in values.items():
            located = Located.of(value, self.lines.get(name, ""))
            for key in self.keys(name):
                settings = settings.merged(nested(key.split("."), located))
        return settings

    def tried(self, proposed: Values) -> dict[str, Scalar]:
        """Return proposed values as tried: rounded, except a default value, which stays exact."""
        rounded = {name: self.space[name].rounded(value) for name, value in proposed.items()}
        default = self.default or {}
        for name in rounded.keys() & default.keys():
            if rounded[name] == self.space[name].rounded(default[name]):
                rounded[name] = default[name]
        return rounded

    @cached_property
    def default(self) -> Values | None:
        """The values that the variant has without a patch; None unless all lie in their ranges."""
        training = self.run({}, 0).training.model_dump(mode="json")
        default = {}
        for name, allowed in self.space.items():
            values = [_setting(training, key.split(".")) for key in self.keys(name)]
            if not allowed.contains(values[0]) or any(value != values[0] for value in values):
                return None
            default[name] = values[0]
        return default


def weights_space(objective: Mapping[str, Mapping[str, Weight]]) -> dict[str, SearchRange]:
    """Return the loss weights of an objective as a space.

    Equal weights of one term are one number, as in the paper's tables. A term that is all that its
    players descend is left out: under Adam its weight changes nothing.

    >>> both = {"reconstruct": 10.0, "kl": 1.0}
    >>> space = weights_space({"encoder": both, "decoder": {"reconstruct": 10.0}})
    >>> [(name, range.bounds, len(range.keys)) for name, range in space.items()]
    [('reconstruct', (1.0, 100.0), 2), ('kl', (0.1, 10.0), 1)]
    >>> weights_space({"critic": {"discriminate": 1.0}})
    {}
    """
    groups: dict[tuple[str, Weight], list[str]] = {}
    for player, weights in objective.items():
        for term, weight in weights.items():
            if weight:
                groups.setdefault((term, weight), []).append(player)
    terms = [term for term, _ in groups]
    space = {}
    for (term, weight), players in groups.items():
        if all(sum(map(bool, objective[player].values())) < 2 for player in players):
            continue
        name = term if terms.count(term) == 1 else f"{term} of {', '.join(players)}"
        keys = [f"objective.{player}.{term}" for player in players]
        if isinstance(weight, ScheduledWeight):  # its schedule stays
            keys, weight = [f"{key}.weight" for key in keys], weight.weight
        space[name] = SearchRange(keys=keys, low=weight / FACTOR, high=weight * FACTOR)
    return space


def _setting(training: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return a setting of a complete configuration; None where there is no such single value."""
    if keys[:2] == ["optimizers", "default"]:
        values = [_setting(table, keys[2:]) for table in training["optimizers"].values()]
        return values[0] if all(value == values[0] for value in values) else None
    table: Any = training
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table
