"""What the conformance suite examines: a model on a small data set, six iterations long."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.base import DataSet
from bench.data.supervision import make_stream
from bench.errors import BenchError
from bench.spec import run_config
from bench.spec.run_settings import Training
from bench.spec.validation import KeyProblem
from bench.training.interface import Batch, Code, ConditionalGenerator, as_given
from bench.training.passes import moving_rows
from bench.training.trainer import Trainer, build_model

BATCH = 16
CPU = torch.device("cpu")


class Violation(BenchError):
    """The model breaks one rule of the interface."""


@dataclass(frozen=True)
class Subject:
    """A model under test, on a small data set.

    Attributes:
        run: Complete configuration, six iterations long.
        data: The loaded data set.
    """

    run: run_config.RunConfig
    data: DataSet

    @property
    def training(self) -> Training:
        """The training part of the configuration."""
        return self.run.training

    def changed(self, **changes: Any) -> "Subject":
        """Return the same model under other settings."""
        options = {key: value for key, value in self.training.model.items() if key != "name"}
        settings: dict[str, Any] = {"data": self.training.data, **changes}
        return make_subject(self.training.model["name"], options, **settings)

    def model(self) -> ConditionalGenerator:
        """Return a fresh model in training mode."""
        return build_model(self.training, self.data, CPU).train()

    @cached_property
    def batch(self) -> Batch:
        """The first draw."""
        capabilities = self.model().capabilities
        return make_stream(self.training, self.data, CPU, capabilities).batch(0)

    def trainer(self, folder: Path, **changes: Any) -> Trainer:
        """Return a trainer of a fresh model, with some settings changed."""
        training = self.training.model_copy(update=changes)
        folder.mkdir(exist_ok=True)
        return Trainer(training, self.data, folder, CPU, "contract")

    def labels(self) -> Tensor:
        """Return two labels of each class, as the model is given them."""
        y = torch.arange(self.data.spec.classes).repeat_interleave(2)
        return as_given(self.model(), self.data.spec, y)


def make_subject(
    name: str,
    options: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Subject:
    """Return a subject for single checks; arguments as for `check_model`, and further settings."""
    settings = {
        "model": {"name": name, **(options or {})},
        "data": dict(data or {"name": "blobs"}),
        "seed": 0,
        "iterations": 6,
        "batch_size": BATCH,
        **changes,
    }
    try:
        run = run_config.complete_settings(settings)
    except KeyProblem as problem:
        raise BenchError(str(problem)) from problem
    return Subject(run, run.source().load())


class Recorder:
    """Stands in for an optimizer, and keeps the gradients instead of stepping."""

    def __init__(
        self, player: str, parameters: list[Any], recorded: dict[str, list[Tensor]]
    ) -> None:
        self.player = player
        self.parameters = parameters
        self.recorded = recorded

    def step(self, gradients: list[Tensor], step: int, clip_norm: float | None) -> None:
        """Keep the gradients."""
        self.recorded[self.player] = gradients


def wanted_by_stage(model: ConditionalGenerator) -> list[tuple[str, frozenset[str]]]:
    """Return each stage with the terms that its players descend."""
    found = []
    for stage in model.stages:
        rows = moving_rows(stage, model.objective)
        found.append((stage.name, frozenset(term for row in rows.values() for term in row)))
    return found


def seeded_terms(
    model: ConditionalGenerator, stage: str, batch: Batch, wanted: frozenset[str]
) -> dict[str, Tensor]:
    """Return the terms of a batch, all noise drawn from seed 0."""
    torch.manual_seed(0)
    return model.terms(stage, batch, wanted)


def refuse_difference(first: torch.nn.Module, second: torch.nn.Module, when: str) -> None:
    """Raise a `Violation` that says when, if two models differ in a parameter or a buffer."""
    other = second.state_dict()
    for name, value in first.state_dict().items():
        if not torch.equal(value, other[name]):
            raise Violation(f"{name} differs {when}")


def refuse_other_codes(first: Code, second: Code, problem: str) -> None:
    """Raise a `Violation` with a sentence, if two codes differ in a part."""
    for a, b in zip(first, second, strict=True):
        if (a is None) != (b is None) or (a is not None and b is not None and not a.equal(b)):
            raise Violation(problem)
