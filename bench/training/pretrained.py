"""Weights from files: of a module that stays as it is, and of a run that a training begins with."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor

from bench.errors import BenchError, describe_error, describe_system_error, first_few, shortened
from bench.spec.completion.start_from import (
    MOST_NAMES,
    misfit_of,
    misfits,
    shapes_of,
    taken_names,
    unchanged_weights,
)
from bench.spec.run_settings import StartFrom

if TYPE_CHECKING:
    from bench.training.interface import ConditionalGenerator


def load_pretrained(module: nn.Module, weights: Path) -> None:
    """Load a state dict from a file; a `BenchError` says what does not fit.

    A module whose tensors have no values, on the device `meta` for example, stays as it is.
    """
    own = module.state_dict()
    if any(value.is_meta or isinstance(value, FakeTensor) for value in own.values()):
        return
    path = Path(os.path.expanduser(weights))
    given = read_state_dict(path)
    shapes, found = shapes_of(own), shapes_of(given)
    told = misfits(shapes, found)
    if more := [name for name in found if name not in shapes]:
        told.append(f"the module has no {first_few(more, MOST_NAMES)}")
    if told:
        raise BenchError(f"{path} does not fit {type(module).__name__}: {'; '.join(told)}")
    module.load_state_dict(given)


def take_weights(model: "ConditionalGenerator", start: StartFrom) -> None:
    """Give a new model the weights of the finished run that it starts from.

    A buffer without a counterpart of its shape stays as it was initialized.
    """
    weights = unchanged_weights(start)
    state = _read_torch(weights)
    if problem := misfit_of(model, start.players, shapes_of(state)):
        raise BenchError(f"{weights} does not fit {type(model).__name__}: {problem}")
    parameters, buffers = taken_names(model, start.players)
    own = model.state_dict()
    alike = {name for name in buffers & state.keys() if state[name].shape == own[name].shape}
    model.load_state_dict({name: state[name] for name in parameters | alike}, strict=False)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file of safetensors or torch; no code in it is run.

    A `BenchError` says why there is none. Errors of the disk and of memory are raised as they are.
    """
    try:
        state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except BenchError:
        raise
    except Exception as error:  # a damaged file may raise anything
        if describe_system_error(error):
            raise
        if isinstance(error, FileNotFoundError):
            raise BenchError(f"there is no file {path}") from error
        reason = shortened(describe_error(error), 200)
        raise BenchError(f"{path} cannot be read as a state dict ({reason})") from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        keys = (
            f" with the keys {first_few([*map(str, state)], 5)}" if hasattr(state, "keys") else ""
        )
        raise BenchError(
            f"{path} holds {type(state).__name__}{keys}, not a state dict (name -> tensor), as "
            "torch.save(network.state_dict(), path) writes it"
        )
    return state


def _read_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise BenchError(
            f"{path} is read by the package safetensors, which is not installed: "
            "pip install 'bench-generators[safetensors]'"
        ) from error
    return load_file(path)
