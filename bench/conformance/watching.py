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
from bench.spec.places import is_ours, place_in


class _Shown(Exception):
    """The value of a tensor was asked for."""


ASKING = {
    getattr(torch.Tensor, name)
    for name in ("item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__")
}
"""What Python code gets values of tensors by; operations of torch may look at them on a CPU."""


class _Closed(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in ASKING:
            raise _Shown
        return function(*args, **(kwargs or {}))


@contextmanager
def refusing_to_show_values() -> Iterator[None]:
    """Raise a `Violation` with the line that asks for the value of a tensor."""
    try:
        with _Closed():
            yield
    except _Shown as error:
        problem = (
            "the value of a tensor is asked for, which makes a GPU wait and cannot be replayed; "
            "compute with tensors (torch.where in place of if)"
        )
        raise Violation(problem, place_in(error)) from None


def refuse_other_randomness(action: Callable[[], object]) -> None:
    """Raise a `Violation` if something draws from the generators of NumPy or Python."""
    if place := line_that_changes(_other_states, action):
        problem = "draws from NumPy or `random`, whose states are not the run's; use torch.rand"
        raise Violation(problem, place)


def _other_states() -> object:
    key = np.random.get_state(legacy=False)["state"]
    return random.getstate(), key["pos"], key["key"].tobytes()


def line_that_changes(state: Callable[[], object], action: Callable[[], object]) -> str:
    """Do something; return `file:line, in function` of the first line that changed a state.

    Only lines that are neither ours nor torch's count. Empty where nothing changed it.
    """
    before, found = state(), ""
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal found
        if is_ours(frame.f_globals.get("__name__", "")):
            return None
        if not found and frame in last and state() != before:
            code = frame.f_code
            found = f"{code.co_filename}:{last[frame]}, in {code.co_name}"
        last[frame] = frame.f_lineno
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(earlier)
    return found
