"""A model under test, with a small data set and a training of six iterations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from torch import Tensor

from bench import registry
from bench.conformance.fake_cuda import play_on_fake_cuda
from bench.conformance.outcomes import Violation
from bench.data.base import DataSet, load_data
from bench.data.stream import make_stream
from bench.errors import BenchError
from bench.spec import run_config
from bench.spec.declaration import ModelProblem, without_memory
from bench.spec.run_settings import StageEdit, Training
from bench.spec.validation import KeyProblem
from bench.training.interface import Batch, ConditionalGenerator, as_given, begin_training
from bench.training.passes import StagePass, make_passes, terms_problem
from bench.training.trainer import Trainer, build_model

CPU = torch.device("cpu")


ITERATIONS = 6
OFTEN = 2  # largest `every` with which a stage is played several times in that


@dataclass(frozen=True)
class ModelUnderTest:
    """A registered model with its options, and a small data set."""

    run: run_config.RunConfig
    data: DataSet

    @classmethod
    def of(
        cls,
        name: str,
        options: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> "ModelUnderTest":
        """Return a registered model, by default on 8x8 images, with further settings of a run."""
        component = {"model": {"name": name, **(options or {})}, "data": data or {"name": "blobs"}}
        # Long enough for any stage; it is shortened below.
        iterations = settings.pop("iterations", ITERATIONS)
        brief = {"seed": 0, "iterations": 10**9, "batch_size": 16}
        try:
            run = run_config.complete_settings({**component, **brief, **settings})
        except KeyProblem as problem:
            for part in problem.parts:
                if isinstance(part, ModelProblem):
                    raise part from problem
            raise BenchError(str(problem)) from problem
        training = run.training.model_copy(
            update={"iterations": iterations, "stages": _within_a_short_run(run)}
        )
        return cls(replace(run, training=training), load_data(run.source()))

    def changed(self, **settings: Any) -> "ModelUnderTest":
        """Return the same model under other settings."""
        options = dict(self.training.model)
        return ModelUnderTest.of(
            options.pop("name"), options, **{"data": self.training.data} | settings
        )

    @property
    def training(self) -> Training:
        """The training part of the configuration."""
        return self.run.training

    @property
    def factory(self) -> type[ConditionalGenerator]:
        """The class of the model."""
        return registry.load("model", self.training.model["name"])

    @property
    def batch(self) -> Batch:
        """A copy of the first batch of the stream; the default random state stays as it is."""
        x, y, labeled = self._batch
        return Batch(x.clone(), y.clone(), labeled)

    @cached_property
    def _batch(self) -> Batch:
        return make_stream(self.training, self.data, CPU, self.factory.capabilities).batch(0)

    @cached_property
    def waits(self) -> list[str]:
        """What makes the CPU wait for a GPU in a stage, as `play_on_fake_cuda` finds it."""
        return play_on_fake_cuda(self.training, self.data.spec)

    def labels(self) -> Tensor:
        """Return two labels of each class, as the model is given them."""
        y = torch.arange(self.data.spec.classes).repeat_interleave(2)
        return as_given(self.model(), self.data.spec, y)

    def model(self) -> ConditionalGenerator:
        """Return a new model in training mode; all of them are equal."""
        model = build_model(self.training, self.data, CPU)
        begin_training(model)
        return model

    def passes(self) -> list[StagePass]:
        """Return a pass for each stage in which a player moves, all of one new model."""
        return list(make_passes(self.model(), self.training.objective, {}).values())

    def terms(
        self,
        stage_pass: StagePass,
        wanted: frozenset[str] | None = None,
        batch: Batch | None = None,
    ) -> dict[str, Tensor]:
        """Return the wanted terms, by default all, by default of the first batch; the seed is 0."""
        wanted = stage_pass.wanted if wanted is None else wanted
        torch.manual_seed(0)
        values = stage_pass.model.terms(stage_pass.stage.name, batch or self.batch, wanted)
        if problem := terms_problem(sorted(wanted), values):
            raise Violation(f"stage {stage_pass.stage.name!r} {problem}")
        return values

    def trainer(self, folder: Path | None = None, **changes: Any) -> Trainer:
        """Return a trainer of a new model; it needs a folder to `train`, but not to `iterate`."""
        if folder is not None:
            folder.mkdir(exist_ok=True)
        training = self.training.model_copy(update=changes)
        return Trainer(training, self.data, folder or Path(gettempdir()), CPU, "contract")


def _within_a_short_run(run: run_config.RunConfig) -> dict[str, StageEdit]:
    """Return edits of stages by which all are played several times, in their order."""
    with without_memory():
        stages = run.model(run.source().spec).stages
    times = [time for stage in stages for time in (stage.start, stage.end)]
    iterations = sorted({time for time in times if type(time) is int and time})
    is_short = not iterations or iterations[-1] < ITERATIONS
    if is_short and all(stage.every <= OFTEN for stage in stages):
        return run.training.stages
    shares = {time: (n + 1) / (len(iterations) + 1) for n, time in enumerate(iterations)}
    edits = {}
    for stage in stages:
        moved = {
            name: shares[time]
            for name, time in (("start", stage.start), ("end", stage.end))
            if type(time) is int and time and not is_short
        }
        if stage.every > OFTEN:
            moved["every"] = OFTEN
        if moved:
            before = run.training.stages.get(stage.name, StageEdit())
            edits[stage.name] = before.model_copy(update=moved)
    return {**run.training.stages, **edits}
