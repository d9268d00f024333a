"""The samples of `bench evaluate`: images from anywhere, or samples of a finished run."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import BenchError, SpecError, describe_unknown, first_line
from bench.evaluation.controls import Real
from bench.evaluation.external_images import read_images
from bench.evaluation.measuring import (
    draw_samples,
    load_trained,
    measure,
    refuse_other_data,
    remark_on_range,
    trained_settings,
)
from bench.metrics.base import Context, Metric, SampleSet
from bench.process.worker import Worker
from bench.record.run_folder import SAMPLING_ROWS, RunFolder, read_config
from bench.record.sweep_folder import settings_of
from bench.registry import Kind
from bench.spec.components import (
    complete_component,
    complete_sampling,
    construct,
    errors_at,
)
from bench.spec.located import Located
from bench.spec.located_yaml import parse_component, parse_value
from bench.spec.reserved_names import ELSEWHERE, REAL
from bench.spec.run_settings import Evaluation, Training
from bench.training.interface import ConditionalGenerator

DEFAULT_METRICS = (
    "inception_score",
    "intra_class_diversity",
    "class_accuracy",
    "fid",
    "precision_recall",
)


@dataclass(frozen=True)
class EvaluationRequest:
    """A request to measure; None means the default, or what a run knows.

    `sample_seed` and `sampling`, options of sampling in YAML, are for drawing from a run,
    `training_seed` is that of images from elsewhere.
    """

    data: dict[str, Any] | None
    components: tuple[dict[str, Any], ...]
    metrics: tuple[Metric, ...]
    per_class: int | None = None
    sample_seed: int | None = None
    training_seed: int | None = None
    sampling: str | None = None


def read_request(
    data: str | None,
    metrics: Sequence[str],
    per_class: int | None = None,
    sample_seed: int | None = None,
    training_seed: int | None = None,
    sampling: str | None = None,
) -> EvaluationRequest:
    """Read the command line: data set and metrics, each as a name or in YAML."""
    dataset = None if data is None else read_component("dataset", "--data", data)
    components, built = [], []
    for text in metrics or DEFAULT_METRICS:
        where = Located({}, f"command line, --metric {text}")
        components.append(read_component("metric", "--metric", text))
        with where.locating_errors(), errors_at(()):
            built.append(construct("metric", components[-1]))
    chosen = tuple(components), tuple(built)
    return EvaluationRequest(dataset, *chosen, per_class, sample_seed, training_seed, sampling)


def read_component(kind: Kind, option: str, text: str) -> dict[str, Any]:
    """Return the complete component that a text of the command line means."""
    where = f"command line, {option} {text}"
    hint = ""
    if kind == "dataset" and os.path.exists(text):
        as_data = "npz" if Path(text).is_file() else "folder"
        hint = f"; images at a path are {option} '{{name: {as_data}, path: {text}}}'"
    with Located({}, where).locating_errors(hint):
        return complete_component(kind, parse_component(text, where), ())


@dataclass(frozen=True)
class GivenSamples:
    """Samples to measure; `training` is None for images from elsewhere.

    `path` is what the user named, `context` has the data and the model of a run. `origin` is for
    the record: path, hash and counts, or run and sample seed. `notices` are for the user.
    """

    path: Path
    request: EvaluationRequest
    data: dict[str, Any]
    context: Context
    samples: SampleSet
    origin: dict[str, Any]
    training: Training | None = None
    notices: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """Name of the model; `elsewhere` for images of another program."""
        return ELSEWHERE if self.training is None else str(self.training.model["name"])

    @property
    def seed(self) -> int | None:
        """Seed of the training, if it is known."""
        return self.request.training_seed if self.training is None else self.training.seed

    def check_recordable(self) -> None:
        """Refuse to add measurements to the record of a run that a reader would take wrongly."""
        if self.training is None:
            raise SpecError("is for runs; use --name to keep a row of images", where="--record")
        if self.origin["sample_seed"] != self.training.seed or "sampling" in self.origin:
            raise SpecError(
                "measurements of other samples than the run's own do not belong in its record; use "
                "--name to keep them as a row",
                where="--record with --sample-seed or --sampling",
            )


@dataclass(frozen=True)
class EvaluationResult:
    """Measurements of given samples, and of the real test images in the same number beside them."""

    given: GivenSamples
    entries: list[dict[str, Any]]
    real: SampleSet
    real_entries: list[dict[str, Any]]

    @property
    def summary(self) -> dict[str, Any]:
        """The measurements as plain data, to print."""
        samples = self.given.samples
        return {
            "target": str(self.given.path),
            "data": samples.spec.name,
            "classes": samples.spec.classes,
            "per_class": samples.per_class,
            "origin": self.given.origin,
            "measurements": self.entries,
            "real": self.real_entries,
        }


def measure_given(given: GivenSamples, worker: Worker) -> EvaluationResult:
    """Measure samples, and the real test images beside them."""
    data, metrics = given.context.data, given.request.metrics
    step = given.training.iterations if given.training else 0
    real = Real().samples(data, given.samples.per_class)
    with worker.computing(data.spec):
        entries = measure(metrics, given.samples, given.context, step=step, split="samples")
        context = replace(given.context, model=None)
        real_entries = measure(metrics, real, context, step=0, split=REAL)
    return EvaluationResult(given, entries, real, real_entries)


def open_samples(path: Path, request: EvaluationRequest, worker: Worker) -> GivenSamples:
    """Read images from a path, or draw samples from the run in it; refuse any other path."""
    _refuse_absent(path)
    if not path.is_dir() and not (path.is_file() and path.suffix == ".npz"):
        raise BenchError(
            f"{path}: expected a folder of images with one sub-folder a class, an .npz with x and "
            "y, or the folder of a run"
        )
    _refuse_sweep(path)
    if not (path / "config.json").exists():
        return _read(path, request, worker)
    return _draw(path, request, worker)


@dataclass(frozen=True)
class TrainedRun:
    """The folder of a trained run, with the data that it was trained on."""

    path: Path
    training: Training
    context: Context

    def drawn_before(self) -> int:
        """Return how many samples of each class its sweep drew, as far as that is known."""
        measured = read_config(self.path).get("evaluation") or {}
        if known := measured.get("samples_per_class"):
            return int(known)
        beside = self.path.resolve().parent.glob(f"{REAL}-*/config.json")
        configs = [settings_of(p.parent) for p in beside]
        counts = {
            c.get("samples_per_class") for c in configs if c.get("data") == self.training.data
        }
        count = counts.pop() if len(counts) == 1 else None
        return count or int(Evaluation().samples_per_class)

    def sampling(self, text: str | None) -> dict[str, Any]:
        """Return the complete options of sampling in a text; none where they are the defaults."""
        if text is None:
            return {}
        where = f"command line, --sampling {text}"
        given = parse_value(text, where)
        if not isinstance(given, dict):
            raise SpecError("expected options, {name: value, ...}", where=where)
        with Located({}, where).locating_errors():
            options = complete_sampling(self.training.model, given)
        return options if options != complete_sampling(self.training.model, {}) else {}

    def draw(
        self,
        per_class: int,
        seed: int,
        sampling: Mapping[str, Any],
        worker: Worker,
        weights: Path | None = None,
    ) -> tuple[ConditionalGenerator, SampleSet]:
        """Return the model with its last, or other, weights, and samples that it draws."""
        data = self.context.data
        weights = weights or RunFolder(self.path).model
        with worker.computing(data.spec):
            model = load_trained(self.training, data, weights, worker.device)
            try:
                samples = draw_samples(model, data.spec, per_class, seed, worker.device, sampling)
            except ValueError as error:
                if not sampling:
                    raise
                raise SpecError(first_line(error), where="--sampling") from error
        return model, samples


def open_run(path: Path, worker: Worker) -> TrainedRun:
    """Open the folder of a run with weights; refuse any other path, and other data than then."""
    _refuse_absent(path)
    _refuse_sweep(path)
    if not (path / "config.json").exists():
        raise BenchError(f"{path} is not the folder of a run, results/SWEEP/ID")
    document = read_config(path)
    config = document["config"]
    run = path.resolve().parent.parent
    if path.resolve().parent.name == SAMPLING_ROWS and RunFolder(run).model.exists():
        options = json.dumps(document.get("sampling", {}))
        raise BenchError(
            f"{path} holds the samples of other options of sampling; name the run itself: "
            f"{os.path.relpath(run)} --sampling {shlex.quote(options)}"
        )
    if not config.get("model") or "evaluated" in config:
        raise BenchError(f"{path} holds measurements, but no model; name the folder of a run")
    if not RunFolder(path).model.exists():
        raise BenchError(f"{path} holds no trained model; finish it with: bench run SWEEP")
    training = trained_settings(path)
    context = worker.context_of(training.data)
    refuse_other_data(path, context.data)
    return TrainedRun(path, training, context)


def _refuse_absent(path: Path) -> None:
    if not os.path.exists(path):
        neighbors = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        message = describe_unknown("file or folder", path.name, neighbors)
        raise SpecError(message, where=str(path))


def _refuse_sweep(path: Path) -> None:
    if (path / "sweep.json").exists():
        runs = sorted(p.parent.name for p in path.glob("*/model.pt"))
        named = f", for example {path / runs[0]}" if runs else ""
        raise BenchError(f"{path} is the folder of a whole sweep; name one of its runs{named}")


def _read(path: Path, request: EvaluationRequest, worker: Worker) -> GivenSamples:
    for value, option in ((request.sample_seed, "--sample-seed"), (request.sampling, "--sampling")):
        if value is not None:
            raise SpecError("is for runs; these images are there already", where=option)
    if request.data is None:
        known = ", ".join(registry.registered("dataset"))
        raise BenchError(
            f"{path}: say which data set these images imitate, --data NAME, where NAME is one of "
            f"{known}; or in YAML, as in a sweep: --data '{{name: folder, path: faces}}'"
        )
    with Located({}, "command line, --data").locating_errors(), errors_at(()):
        spec = construct("dataset", request.data).spec
    images = read_images(path, spec, request.per_class)
    origin = {
        "path": str(path.resolve()),
        "sha256": images.sha256,
        "found": list(images.counts),
        "per_class": images.samples.per_class,
    }
    context = worker.context_of(request.data)
    remark = remark_on_range(images.samples, context.data)
    notices = (*context.data.notices, *images.notices, *filter(None, [remark]))
    return GivenSamples(
        path, request, request.data, context, images.samples, origin, notices=notices
    )


def _draw(path: Path, request: EvaluationRequest, worker: Worker) -> GivenSamples:
    for value, option in ((request.data, "--data"), (request.training_seed, "--seed")):
        if value is not None:
            raise SpecError("is for images; a run knows its own", where=option)
    run = open_run(path, worker)
    training, context = run.training, run.context
    sampling = run.sampling(request.sampling)
    per_class = request.per_class or run.drawn_before()
    seed = training.seed if request.sample_seed is None else request.sample_seed
    model, samples = run.draw(per_class, seed, sampling, worker)
    origin = {"run": str(path.resolve()), "sample_seed": seed, "per_class": per_class}
    origin |= {"sampling": sampling} if sampling else {}
    remark = remark_on_range(samples, context.data)
    notices = (*context.data.notices, *filter(None, [remark]))
    context = replace(context, model=model)
    return GivenSamples(path, request, training.data, context, samples, origin, training, notices)
