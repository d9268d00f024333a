"""What a rule finds: nothing, a violation, a remark, or why it does not apply."""

import torch
from torch import Tensor, nn

from bench.data.base import to_bytes
from bench.errors import BenchError


class PlacedProblem(BenchError):
    """A problem of a model; `place` is the line, if it is known."""

    def __init__(self, problem: str, place: str = "") -> None:
        self.place = place
        super().__init__(problem)


class Violation(PlacedProblem):
    """The model breaks a rule of the interface."""


class Remark(PlacedProblem):
    """The model breaks no rule, but something is slow, or probably not what is meant."""


def require(rule: object, problem: str) -> None:
    """Raise a `Violation` that describes the problem, unless the rule holds."""
    if not rule:
        raise Violation(problem)


def require_range(x: Tensor, what: str) -> None:
    """Raise a `Violation` if what a model returned does not have the range of the data."""
    try:
        to_bytes(x.float(), what)
    except BenchError as error:
        raise Violation(str(error)) from error


def refuse_difference(first: nn.Module, second: nn.Module, when: str) -> None:
    """Raise a `Violation` that says when, if two models differ in a parameter or a buffer."""
    other = second.state_dict()
    for name, value in first.state_dict().items():
        is_equal = name in other and torch.equal(value.nan_to_num(), other[name].nan_to_num())
        require(is_equal, f"{name} differs {when}")
