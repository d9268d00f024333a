"""Watch the code of a model while it runs, to name the line of a mistake."""

import random
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import numpy as np
from torch import Tensor, nn

from bench.conformance.outcomes import Violation
from bench.errors import shortened
from bench.spec.places import is_ours, place_at
from bench.training.interface import TrainingProgress


def refuse_other_randomness(action: Callable[[], object]) -> None:
    """Raise a `Violation` if something draws from the generators of NumPy or Python."""
    if place := line_that_changes(_other_states, action):
        problem = "draws from NumPy or `random`, whose states are not the run's; use torch.rand"
        raise Violation(problem, place)


def _other_states() -> object:
    """Return the states of the generators of Python and NumPy."""
    key = np.random.get_state(legacy=False)["state"]
    return random.getstate(), key["pos"], key["key"].tobytes()


def values_of(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, object]:
    """Return the bytes of tensors by name, to compare them later."""
    return {name: tensor.detach().numpy().tobytes() for name, tensor in tensors}


def training_modes(model: nn.Module) -> dict[str, object]:
    """Return whether each module is in training mode."""
    return {
        name: module.training
        for name, module in model.named_modules()
        if not isinstance(module, TrainingProgress)
    }


States = dict[str, Callable[[], dict[str, object]]]
"""What is said of a changed state, with `{}` for its names -> what returns it, name -> value."""


def refuse_traces(start: Callable[[], tuple[Callable[[], object], States]]) -> None:
    """Raise a `Violation` with the line if an action changes a state.

    `start` returns the action and the states that it must leave alone, each time those of a new
    model.
    """
    action, states = start()
    before = {problem: state() for problem, state in states.items()}
    action()
    for problem, state in states.items():
        now = state()
        if changed := [name for name, value in before[problem].items() if now.get(name) != value]:
            action, states = start()
            place = line_that_changes(states[problem], action)
            raise Violation(problem.format(shortened(", ".join(changed), 300)), place)


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
