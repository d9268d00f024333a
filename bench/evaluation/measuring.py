"""One finished run, one sample set, every figure.

The real test images go through the same functions as the samples, as a row of their own.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DataSet, DataSpec, to_bytes
from bench.errors import BenchError, NotApplicable, RunFailed, machine_trouble
from bench.metrics.base import Context, Measurement, Metric, SampleSet
from bench.record.files import write_atomically
from bench.seeding import generator_for
from bench.spec.components import construct
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Training
from bench.training.gradient_accumulation import allocator_message
from bench.training.interface import ConditionalGenerator, as_given
from bench.training.trainer import build_model

SAMPLING_BATCH = 250  # part of the definition of the sample set: a batch has one random stream
SHOWN_PER_CLASS = 10
SELECTION_SEED = 1000  # seeds of judges from here on are those of the validation figures

Array = np.ndarray[Any, np.dtype[Any]]


def load_trained(
    training: Training, data: DataSet, weights: Path, device: torch.device
) -> ConditionalGenerator:
    """Return a model with the weights that its training ended with.

    Args:
        training: The complete training configuration.
        data: What it was trained on.
        weights: The file `model.pt` of the run.
        device: Where to put it.

    Returns:
        The model in evaluation mode.

    Raises:
        BenchError: If the file is damaged, or of another model.
    """
    model = build_model(training, data, device).eval()
    try:
        model.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    except Exception as error:  # whatever a damaged file makes of itself
        if machine_trouble(error) or isinstance(error, FileNotFoundError):
            raise
        reason = str(error).strip().split("\n", 1)[0]
        raise BenchError(
            f"{weights} is damaged, or not of this model ({reason}); delete it and run the sweep "
            "again: the same weights are then trained anew"
        ) from error
    return model


def save_weights(weights: Path, state: Mapping[str, Tensor]) -> None:
    """Write the weights of a model, whole or not at all; their folder is made."""
    buffer = io.BytesIO()  # torch tells of a full disk in a way that nobody understands
    torch.save(dict(state), buffer)
    write_atomically(weights, buffer.getbuffer())


@torch.inference_mode()
def draw_samples(
    model: ConditionalGenerator, spec: DataSpec, per_class: int, seed: int, device: torch.device
) -> SampleSet:
    """Draw the sample set of a run.

    Args:
        model: A trained model in evaluation mode.
        spec: Its data.
        per_class: Samples of each class.
        seed: Seed of the run; batch `b` draws from the stream `("samples", b)`.
        device: Where the model is.

    Returns:
        Samples ordered by class.

    Raises:
        BenchError: If samples are not finite.
    """
    labels = torch.arange(spec.classes).repeat_interleave(per_class)
    parts = []
    for index, y in enumerate(torch.split(labels, SAMPLING_BATCH)):
        given = as_given(model, spec, y.to(device))
        x = model.sample(given, generator_for(seed, "samples", index))
        if not bool(torch.isfinite(x).all()):
            raise BenchError("the model's samples contain values that are not finite")
        parts.append(to_bytes(x.float()).cpu())
    return SampleSet(torch.cat(parts), labels, spec)


@contextmanager
def _telling_memory() -> Iterator[None]:
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


@_telling_memory()
def measure(
    metrics: Iterable[Metric], samples: SampleSet, context: Context, *, step: int, split: str
) -> list[dict[str, Any]]:
    """Measure a sample set.

    Args:
        metrics: What to measure.
        samples: Generated or real examples.
        context: Real data, device, caches.
        step: Iterations of the model.
        split: `samples` or `real`, both of them on the test split, or `validation`.

    Returns:
        Rows for the record.
    """
    rows = []
    for metric in metrics:
        try:
            measurements = metric.measure(samples, context)
        except NotApplicable as reason:
            measurements = [Measurement(metric.name, "", None, str(reason))]
        rows += [{"step": step, "split": split, **found._asdict()} for found in measurements]
    return rows


def selecting(component: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric as it measures on the validation split.

    What is chosen by a network does well before that network. So figures for choosing have judges
    of their own: classifiers of other seeds, also where the test figures ask for Inception or for
    a network of the user's.

    Args:
        component: Name and options of a metric, complete.

    Returns:
        The same with another judge, if it has one.
    """
    judged = dict(component)
    if "extractor" in judged:
        judged["extractor"] = "domain"
    if "extractor_seed" in judged:
        judged["extractor_seed"] += SELECTION_SEED
    return judged


def comparisons(run: RunConfig, context: Context) -> Iterator[tuple[str, Context, list[Metric]]]:
    """Yield each split that a run asks for: its name, its context, and the metrics there."""
    for split in run.evaluation.splits:
        if split == "test":
            yield split, context, run.metrics()
        else:
            metrics = [construct("metric", selecting(c)) for c in run.evaluation.metrics]
            yield split, context.on_validation(), metrics


@_telling_memory()
def measure_model(
    run: RunConfig, model: ConditionalGenerator, context: Context, step: int
) -> tuple[SampleSet, list[dict[str, Any]]]:
    """Draw the sample set of a run at one time of its training, and measure it.

    Args:
        run: The run.
        model: The model of that time in evaluation mode.
        context: Its data, without a model.
        step: Iterations of the model.

    Returns:
        The samples, the same noise at any time; and rows for the record.
    """
    count, seed = run.evaluation.samples_per_class, run.training.seed
    samples = draw_samples(model, context.data.spec, count, seed, context.device)
    context = replace(context, model=model)
    rows = []
    for split, held, metrics in comparisons(run, context):
        name = "samples" if split == "test" else split
        rows += measure(metrics, samples, held, step=step, split=name)
    return samples, rows


def inapplicable(
    metrics: Iterable[Metric], reason: NotApplicable, *, split: str
) -> list[dict[str, Any]]:
    """Return rows without value for a control that a data set does not have.

    Args:
        metrics: What would have been measured.
        reason: Why there is nothing to measure.
        split: As for `measure`.

    Returns:
        Rows for the record.
    """
    found = [Measurement(metric.name, "", None, str(reason)) for metric in metrics]
    return [{"step": 0, "split": split, **measurement._asdict()} for measurement in found]


def save_shown(samples: SampleSet, data: DataSet, folder: Path) -> None:
    """Keep a few samples of each class in `samples.npz`, and draw them in `samples.png`.

    Args:
        samples: Ordered by class.
        data: Real points are drawn behind generated ones.
        folder: Where to.
    """
    _draw(keep_shown(samples, folder), data, folder / "samples.png")


def keep_shown(samples: SampleSet, folder: Path) -> Array:
    """Keep a few samples of each class in `samples.npz`.

    The file holds `x` (`[K, n, H, W, C]` uint8, or `[K, n, 2]`) and the class `names`, for
    pictures that are made without the model.

    Args:
        samples: Ordered by class.
        folder: Where to.

    Returns:
        The `x` of the file.
    """
    per_class = samples.per_class
    shown = min(per_class, SHOWN_PER_CLASS if samples.spec.is_image else per_class)
    x = samples.x.reshape(samples.spec.classes, per_class, *samples.x.shape[1:])[:, :shown]
    if samples.spec.is_image:
        x = x.permute(0, 1, 3, 4, 2)
    kept: Array = x.numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=kept, names=np.array(samples.spec.class_names))
    write_atomically(folder / "samples.npz", buffer.getbuffer())
    return kept


def _draw(shown: Array, data: DataSet, target: Path) -> None:
    from bench.reporting.figures.grids import save_image_grid
    from bench.reporting.figures.points import save_point_cloud

    if data.spec.is_image:
        save_image_grid({"": shown}, data.spec.class_names, target)
    else:
        classes, per_class = shown.shape[:2]
        labels = np.repeat(np.arange(classes), per_class)
        save_point_cloud(shown.reshape(-1, 2), labels, data.test.x.numpy(), target)
