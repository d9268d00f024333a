"""Watch the code of a model while it runs, to name the line of a mistake."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from bench.conformance.model_under_test import Violation
from bench.spec.places import is_ours, place_at, place_in


class _ValueRead(Exception):
    """Python code reads the value of a tensor."""


VALUE_READS = {
    getattr(torch.Tensor, name)
    for name in ("item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__")
}
"""Methods by which Python code reads values; operations of torch may look at them on a CPU."""


class _NoValueReads(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in VALUE_READS:
            raise _ValueRead
        return function(*args, **(kwargs or {}))


@contextmanager
def refusing_value_reads() -> Iterator[None]:
    """Raise a `Violation` with the line that reads the value of a tensor."""
    try:
        with _NoValueReads():
            yield
    except _ValueRead as error:
        problem = (
            "reads the value of a tensor: a GPU is waited for, and nothing can be replayed; "
            "compute with tensors (torch.where in place of if)"
        )
        raise Violation(problem, place_in(error)) from None


def refuse_other_randomness(action: Callable[[], object]) -> None:
    """Raise a `Violation` if something draws from the generators of NumPy or Python."""
    if place := line_that_changes(_other_states, action):
        problem = "draws from NumPy or `random`, whose states are not the run's; use torch.rand"
        raise Violation(problem, place)


def _other_states() -> object:
    """Return the states of the generators of Python and NumPy."""
    key = np.random.get_state(legacy=False)["state"]
    return random.getstate(), key["pos"], key["key"].tobytes()


def line_that_changes(state: Callable[[], object], action: Callable[[], object]) -> str:
    """Do something; return the place of the first line that changed a state.

    Only lines of models and other plug-ins count. Empty where none of them changed it.
    """
    before, found = state(), ""
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal found
        if is_ours(frame.f_globals.get("__name__", "")):
            return None
        if not found and frame in last and state() != before:
            found = place_at(frame, last[frame])
        last[frame] = frame.f_lineno
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(earlier)
    return found
