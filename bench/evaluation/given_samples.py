"""The samples of `bench evaluate`: images from anywhere, or samples of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.data.base import DataSpec, Split, fingerprint
from bench.errors import BenchError, SpecError
from bench.evaluation.controls import Real
from bench.evaluation.external_images import read_images
from bench.evaluation.measuring import measure
from bench.evaluation.sampling import remark_on_range
from bench.evaluation.trained_run import open_run, refuse_absent, refuse_sweep
from bench.metrics.base import Context, Metric, SampleSet
from bench.process.worker import Worker
from bench.spec.components import construct, errors_at, read_component
from bench.spec.located import Located
from bench.spec.reserved_names import ELSEWHERE, REAL
from bench.spec.run_settings import Training

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

    `sample_seed` and `sampling_text`, sampling options in YAML, are for drawing from a run,
    `training_seed` is that of images from elsewhere.
    """

    data: dict[str, Any] | None
    components: tuple[dict[str, Any], ...]
    metrics: tuple[Metric, ...]
    per_class: int | None = None
    sample_seed: int | None = None
    training_seed: int | None = None
    sampling_text: str | None = None


def read_request(
    data: str | None,
    metrics: Sequence[str],
    *,
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


@dataclass(frozen=True)
class GivenSamples:
    """Samples to measure; `training` is None for images from elsewhere.

    `path` is what the user named, `context` has the data and the model of a run. `origin` is for
    the record: name, hash and counts, or run and sample seed. `notices` are for the user.
    `are_own` where they are the samples that a run was measured by.
    """

    path: Path
    request: EvaluationRequest
    data: dict[str, Any]
    context: Context
    samples: SampleSet
    origin: dict[str, Any]
    training: Training | None = None
    notices: tuple[str, ...] = ()
    are_own: bool = False

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
            raise SpecError(
                f"--record applies only to runs; {self.path} is a set of images: use --name to "
                "keep a row"
            )
        if not self.are_own:
            raise SpecError(
                "--record with --sample-seed, --sampling or --samples-per-class: a record holds "
                "only measurements of the run's own samples; use --name to keep these as a row"
            )


@dataclass(frozen=True)
class EvaluationResult:
    """Measurements of given samples, and of as many real test images."""

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
            "per_class": samples.each_class,
            "origin": self.given.origin,
            "measurements": self.entries,
            "real": self.real_entries,
        }


def measure_given(given: GivenSamples, worker: Worker) -> EvaluationResult:
    """Measure samples, and as many real test images."""
    data, metrics = given.context.data, given.request.metrics
    step = given.training.iterations if given.training else 0
    real = Real().samples_like(given.samples, data)
    with worker.computing(data.spec):
        entries = measure(metrics, given.samples, given.context, step=step, split="samples")
        context = replace(given.context, model=None)
        real_entries = measure(metrics, real, context, step=0, split=REAL)
    return EvaluationResult(given, entries, real, real_entries)


def open_samples(path: Path, request: EvaluationRequest, worker: Worker) -> GivenSamples:
    """Read images from a path, or draw samples from the run in it; refuse any other path."""
    refuse_absent(path)
    if not path.is_dir() and not (path.is_file() and path.suffix == ".npz"):
        raise BenchError(
            f"{path}: expected a folder of images with one sub-folder per class, an .npz with x "
            "and y (or arr_0 and arr_1), or the folder of a run"
        )
    refuse_sweep(path)
    if not (path / "config.json").exists():
        return _read(path, request, worker)
    return _draw(path, request, worker)


def _check_metrics(request: EvaluationRequest, spec: DataSpec) -> None:
    """Refuse options of metrics that do not fit the data, before anything is drawn or measured."""
    for metric in request.metrics:
        with Located({}, f"command line, --metric {metric.name}").locating_errors(), errors_at(()):
            metric.check(spec)


def _read(path: Path, request: EvaluationRequest, worker: Worker) -> GivenSamples:
    for value, option in (
        (request.sample_seed, "--sample-seed"),
        (request.sampling_text, "--sampling"),
    ):
        if value is not None:
            raise SpecError(f"{option} applies only to runs; {path} is a set of images")
    if request.data is None:
        known = ", ".join(registry.registered("dataset"))
        raise BenchError(
            f"{path}: --data is missing, the data set that these images imitate: one of "
            f"{known}; or in YAML, as in a sweep: --data '{{name: folder, path: faces}}'"
        )
    with Located({}, "command line, --data").locating_errors(), errors_at(()):
        spec = construct("dataset", request.data).spec
    _check_metrics(request, spec)
    images = read_images(path, spec, request.per_class)
    origin = {
        "path": path.resolve().name,
        "sha256": images.sha256,
        "found": list(images.counts),
        "per_class": images.samples.each_class,
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
            raise SpecError(
                f"{option} applies only to images; {path} is a run, which records its own"
            )
    run = open_run(path, worker)
    training, context = run.training, run.context
    _check_metrics(request, context.data.spec)
    sampling = run.parse_sampling(request.sampling_text)
    per_class = request.per_class or run.drawn_before()
    seed = training.seed if request.sample_seed is None else request.sample_seed
    model, samples = run.draw(per_class, seed, sampling, worker)
    id_of_run = "/".join(path.resolve().parts[-2:])  # records name no folder of this machine
    origin = {"run": id_of_run, "sample_seed": seed, "per_class": per_class}
    origin |= {"sha256": fingerprint(Split(samples.x, samples.y))}
    origin |= {"sampling": sampling} if sampling else {}
    are_own = (per_class, seed, sampling) == (run.drawn_before(), training.seed, {})
    remark = remark_on_range(samples, context.data)
    notices = (*context.data.notices, *filter(None, [remark]))
    context = replace(context, model=model)
    return GivenSamples(
        path, request, training.data, context, samples, origin, training, notices, are_own
    )
