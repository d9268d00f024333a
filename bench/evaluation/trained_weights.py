"""The weights of a trained model in files, and the settings and data that belong to them."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from bench.data.base import DataSet
from bench.errors import (
    BenchError,
    DamagedRecord,
    describe_system_error,
    first_line,
    short_hash,
    shortened,
)
from bench.record.files import write_atomically
from bench.record.provenance import read_provenance
from bench.record.run_folder import read_config
from bench.spec.run_config import recorded_training
from bench.spec.run_settings import Training
from bench.training.interface import ConditionalGenerator
from bench.training.trainer import build_model


def load_trained(
    training: Training, data: DataSet, weights: Path, device: torch.device
) -> ConditionalGenerator:
    """Return a model in evaluation mode with the weights in a file; refuse another model's."""
    model = build_model(training, data, device).eval()
    with _naming_damage(weights):
        state = torch.load(weights, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise ValueError("it holds something else")
    try:
        model.load_state_dict(state)
    except Exception as error:  # a model may define how it takes weights
        reason = shortened(" ".join(str(error).split()), 160)
        raise DamagedRecord(
            f"{weights} does not fit the model as its code is now ({reason}); it needs the code "
            "that trained it, or is of another model"
        ) from error
    return model


def load_weights(weights: Path) -> dict[str, Tensor]:
    """Return the weights in a file; a `DamagedRecord` if it holds none."""
    with _naming_damage(weights):
        state = torch.load(weights, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
            raise ValueError("it holds something else")
    return dict(state)


@contextmanager
def _naming_damage(weights: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file may raise anything
        if describe_system_error(error) or isinstance(error, FileNotFoundError):
            raise
        raise DamagedRecord(
            f"{weights} is damaged ({first_line(error)}); delete it and run the sweep again: the "
            "same weights are then trained again"
        ) from error


def trained_settings(folder: Path) -> Training:
    """Return the settings that a run was trained with; a `DamagedRecord` if none are on record."""
    settings = read_config(folder)["config"]
    try:
        return recorded_training(settings)
    except (BenchError, ValueError, LookupError, TypeError, AttributeError) as error:
        path = folder / "config.json"
        raise DamagedRecord(
            f"{path} does not describe a run that was trained: {first_line(error)}"
        ) from error


def save_weights(weights: Path, state: Mapping[str, Tensor]) -> None:
    """Write the weights of a model, whole or not at all; their folder is made."""
    buffer = io.BytesIO()  # torch's own error for a full disk is unreadable
    torch.save(dict(state), buffer)
    write_atomically(weights, buffer.getbuffer())


def refuse_other_data(folder: Path, data: DataSet, remedy: str = "") -> None:
    """Raise a `BenchError` if the run in `folder` was trained on other data than these.

    Where `data` has no unlabeled examples, those of the run are not compared: whoever only draws
    from it loads none.
    """
    before = read_provenance(folder).get("data_fingerprint")
    if before and not before.startswith(data.fingerprints):
        raise BenchError(
            f"the data set {data.spec.name!r} is not the one that {folder} was trained on "
            f"(fingerprint {short_hash(data.fingerprints)}, recorded {short_hash(before)}){remedy}"
        )
