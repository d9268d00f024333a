"""Draw the sample set of a trained model, and measure it on test or validation images."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DIM, DataSet, DataSpec, to_bytes
from bench.errors import (
    BenchError,
    DamagedRecord,
    NotApplicable,
    RunFailed,
    describe_system_error,
    first_line,
    short_hash,
)
from bench.metrics.base import Context, Measurement, Metric, SampleSet, unmeasured
from bench.metrics.class_groups import grouped_measurements, of_group
from bench.record.files import write_atomically, write_npz
from bench.record.provenance import read_provenance
from bench.record.run_folder import read_config
from bench.seeding import generator_for
from bench.spec.components import construct, sampling_arguments
from bench.spec.places import place_of
from bench.spec.run_config import RunConfig, recorded_training
from bench.spec.run_settings import Training
from bench.training.gradient_accumulation import allocator_message
from bench.training.interface import ConditionalGenerator, as_given
from bench.training.trainer import build_model

SAMPLING_BATCH = 250  # part of the definition of the sample set: a batch has one random stream
SHOWN_PER_CLASS = 10
VALIDATION_SEED = 1000  # added to the seeds of classifiers that measure on validation images


def load_trained(
    training: Training, data: DataSet, weights: Path, device: torch.device
) -> ConditionalGenerator:
    """Return a model in evaluation mode with the weights in a file; refuse another model's."""
    model = build_model(training, data, device).eval()
    with _naming_damage(weights):
        model.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
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
            f"{weights} is damaged, or not of this model ({first_line(error)}); delete it and run "
            "the sweep again: the same weights are then trained again"
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


def refuse_other_data(folder: Path, data: DataSet) -> None:
    """Raise a `BenchError` if the run in `folder` was trained on other data than these.

    Where `data` has no unlabeled examples, those of the run are not compared.
    """
    before = read_provenance(folder).get("data_fingerprint")
    if before is None:
        return
    if not before.startswith(data.fingerprints):
        raise BenchError(
            f"the data set {data.spec.name!r} is not the one that {folder} was trained on "
            f"(fingerprint {short_hash(data.fingerprints)}, recorded {short_hash(before)})"
        )


@torch.inference_mode()
def draw_samples(
    model: ConditionalGenerator,
    spec: DataSpec,
    per_class: int,
    seed: int,
    device: torch.device,
    sampling: Mapping[str, Any] = {},
) -> SampleSet:
    """Draw the sample set of a model in evaluation mode, ordered by class.

    Batch `b` draws from the stream `("samples", b)` of `seed`, that of the run, with the options
    `sampling` in place of the model's defaults. A `BenchError` says if samples do not have the
    shape or the range of the data.
    """
    options = sampling_arguments(type(model), sampling) if sampling else {}
    labels = torch.arange(spec.classes).repeat_interleave(per_class)
    batches = enumerate(torch.split(labels, SAMPLING_BATCH))
    x = torch.cat([_draw(model, spec, y, seed, index, device, options) for index, y in batches])
    return SampleSet(x, labels, spec)


def _draw(
    model: ConditionalGenerator,
    spec: DataSpec,
    y: Tensor,
    seed: int,
    batch: int,
    device: torch.device,
    options: Mapping[str, Any] = {},
) -> Tensor:
    """Draw one batch of samples, as they are stored."""
    generator = generator_for(seed, "samples", batch)
    x = model.sample(as_given(model, spec, y.to(device)), generator, **options)
    if list(x.shape) != (expected := [len(y), *spec.shape]) or not x.is_floating_point():
        raise BenchError(
            f"sample() returned {x.dtype} {list(x.shape)}, not float {expected} "
            f"({place_of(type(model), 'sample')})"
        )
    return to_bytes(x.float(), "the model's samples").cpu()


@torch.inference_mode()
def remark_before_training(training: Training, data: DataSet, device: torch.device) -> str | None:
    """Return what is wrong with a few samples of the model as it is initialized, or None."""
    model, y = build_model(training, data, device).eval(), torch.arange(min(data.spec.classes, 4))
    try:
        _draw(model, data.spec, y, training.seed, 0, device)
    except Exception as error:  # of the model's own code, which may need to be trained first
        return f"before its training, sampling fails ({error}); then measuring may fail, too"
    return None


def remark_on_range(samples: SampleSet, data: DataSet) -> str | None:
    """Return a remark on samples of another range than the real images: none is dark, or bright."""
    if not samples.spec.is_image:
        return None
    darkest, brightest = int(samples.x.min()), int(samples.x.max())
    real_darkest, real_brightest = int(data.train.x.min()), int(data.train.x.max())
    # Where everything has saturated at an end, it is another fault.
    if 128 <= darkest < 250 and real_darkest < DIM:
        return (
            f"no pixel of {len(samples.x)} samples is below {darkest / 127.5 - 1:.2f}, training "
            "images go down to -1: if they were made for [0, 1], x * 2 - 1 maps them to [-1, 1]"
        )
    if 0 < brightest < DIM <= real_brightest:
        return (
            f"no pixel of {len(samples.x)} samples is above {brightest}, training images go up to "
            f"{real_brightest}: samples of another range must be scaled to 0 to 255 first"
        )
    return None


@contextmanager
def _explaining_out_of_memory() -> Iterator[None]:
    """Say what can be done where measuring takes more memory than there is."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if (reason := allocator_message(error)) is None:
            raise
        raise RunFailed(
            f"out of memory while measuring ({reason}); nothing that was trained is "
            "lost: fewer runs at a time (--jobs), --device cpu, fewer samples_per_class or other "
            "metrics may help, then --retry-failed"
        ) from error


@_explaining_out_of_memory()
def measure(
    metrics: Iterable[Metric], samples: SampleSet, context: Context, *, step: int, split: str
) -> list[dict[str, Any]]:
    """Measure generated or real examples after `step` iterations; return entries for the record."""
    entries = []
    metrics = list(metrics)
    times = Counter(name for metric in metrics for name in metric.quantities)
    for metric in metrics:
        measured: list[Measurement] = []
        is_one_of_several = any(times[name] > 1 for name in metric.quantities)
        missing = _asked(metric) if is_one_of_several else ""
        for group, about, part in grouped_measurements(metric, samples, context.data):
            found = _measured(metric, part, context, missing)
            measured += [of_group(one, group, about) for one in found]
        named = [_naming_files(found, metric) for found in measured]
        entries += [{"step": step, "split": split, **found._asdict()} for found in named]
    return entries


def _asked(metric: Metric) -> str:
    """Return a metric with the options that were asked for, to tell it from others of its name."""
    options: tuple[Field[Any], ...] = fields(metric) if is_dataclass(metric) else ()
    given = [
        f"{option.name}={getattr(metric, option.name)}"
        for option in options
        if getattr(metric, option.name) != option.default
    ]
    return f"{metric.name}[{','.join(given)}]" if given else metric.name


def _measured(
    metric: Metric, samples: SampleSet | None, context: Context, missing: str
) -> list[Measurement]:
    """Measure samples by one metric; where it does not apply, the measurements have a reason.

    `missing` is their protocol then.
    """
    if samples is None:
        return unmeasured(metric.quantities, missing, "no sample is of these classes")
    if metric.needs_labels and not samples.labeled:
        return unmeasured(metric.quantities, missing, "the labels of these samples are not known")
    try:
        measurements = metric.measure(samples, context)
    except NotApplicable as reason:
        return unmeasured(metric.quantities, missing, str(reason))
    for found in measurements:
        if not {found.metric, found.metric.partition("/")[0]} & {*metric.quantities}:
            raise BenchError(
                f"the metric {metric.name!r} returned a measurement {found.metric!r}, which is "
                f"not among its quantities: {', '.join(metric.quantities)}"
            )
    return measurements


def _naming_files(found: Measurement, metric: Metric) -> Measurement:
    """Return a measurement whose protocol tells versions of files among the options apart."""
    hashes = {option: whole[:8] for option, whole in metric.file_hashes.items()}
    added = [f"{option}@{part}" for option, part in hashes.items() if part not in found.protocol]
    if not added or (found.value is None and not found.protocol):
        return found
    return found._replace(protocol=f"{found.protocol}[{','.join(added)}]")


def validation_metric(component: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric as it measures on validation images: by another evaluator, if it has one.

    What an evaluator has chosen, a trial or a snapshot, looks too good to that same evaluator. So
    on validation images, which choose, it is always a classifier trained with a seed of its own.
    """
    changed = dict(component)
    if "extractor" in changed:
        changed["extractor"] = "domain"
        changed.pop("reference", None)  # of another extractor, and of no split of this data set
    if "extractor_seed" in changed:
        changed["extractor_seed"] += VALIDATION_SEED
    return changed


def measured_splits(
    run: RunConfig, context: Context
) -> Iterator[tuple[str, Context, list[Metric]]]:
    """Yield each split that a run asks for: its name, its context, and the metrics there."""
    for split in run.evaluation.splits:
        if split == "test":
            yield split, context, run.metrics()
        else:
            metrics = [construct("metric", validation_metric(c)) for c in run.evaluation.metrics]
            yield split, context.on_validation(), metrics


@_explaining_out_of_memory()
def measure_model(
    run: RunConfig,
    model: ConditionalGenerator,
    context: Context,
    step: int,
    sampling: Mapping[str, Any] = {},
) -> tuple[SampleSet, list[dict[str, Any]]]:
    """Draw a run's sample set after `step` iterations; return it and entries for the record.

    With other options of sampling, metrics do not see the model: its codes are the same.
    """
    count, seed = run.evaluation.samples_per_class, run.training.seed
    samples = draw_samples(model, context.data.spec, count, seed, context.device, sampling)
    entries = []
    context = replace(context, model=None if sampling else model)
    for split, of_split, metrics in measured_splits(run, context):
        name = "samples" if split == "test" else split
        entries += measure(metrics, samples, of_split, step=step, split=name)
    return samples, entries


def inapplicable(
    metrics: Iterable[Metric], reason: NotApplicable, *, split: str
) -> list[dict[str, Any]]:
    """Return entries without value for a control that a data set does not have."""
    names = [name for metric in metrics for name in metric.quantities]
    measurements = unmeasured(names, "", str(reason))
    return [{"step": 0, "split": split, **found._asdict()} for found in measurements]


def save_samples(samples: SampleSet, folder: Path, data: DataSet | None = None) -> None:
    """Keep at most 10 images of each class, or all points, in `samples.npz`; with `data` draw them.

    The file holds `x` (`[K, n, H, W, C]` uint8, or `[K, n, D]`) and the class `names`.
    """
    spec = samples.spec
    most = SHOWN_PER_CLASS if spec.is_image else len(samples.y)
    shown = min(samples.per_class, most)
    members = [torch.nonzero(samples.y == label).flatten()[:shown] for label in samples.labels]
    x = samples.x[torch.stack(members)]
    kept = (x.permute(0, 1, 3, 4, 2) if spec.is_image else x).numpy()
    names = [spec.class_names[label] if samples.labeled else "all" for label in samples.labels]
    write_npz(folder / "samples.npz", {"x": kept, "names": np.array(names)})
    if data is None:
        return
    from bench.reporting.figures.grids import save_image_grid
    from bench.reporting.figures.points import save_point_cloud

    picture = folder / "samples.png"
    if spec.is_image:
        save_image_grid({"": kept}, names, picture)
    else:
        labels = np.repeat(samples.labels, shown)
        save_point_cloud(kept.reshape(-1, *spec.shape), labels, data.test.x.numpy(), picture)
