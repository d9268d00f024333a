"""Measure samples by all metrics, on test or validation images."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

from bench.data.tensor_checks import describe_value
from bench.errors import BenchError, NotApplicable, RunFailed
from bench.evaluation.sampling import draw_samples
from bench.metrics.base import Context, Measurement, Metric, SampleSet, unmeasured
from bench.metrics.class_groups import grouped_measurements, of_group
from bench.spec.components import construct
from bench.spec.run_config import RunConfig
from bench.training.gradient_accumulation import allocator_message
from bench.training.interface import ConditionalGenerator

VALIDATION_SEED = 1000  # added to the seeds of classifiers that measure on validation images


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
        return _checked(metric.measure(samples, context), metric)
    except NotApplicable as reason:
        return unmeasured(metric.quantities, missing, str(reason))


def _checked(measurements: object, metric: Metric) -> list[Measurement]:
    """Return what a metric returned; a `BenchError` names the metric where it is unfit."""
    found = measurements if isinstance(measurements, list) else []
    odd = [describe_value(each) for each in found if not isinstance(each, Measurement)]
    if odd or not found:
        inside = f"a list with {odd[0]}" if odd else "an empty one"
        got = inside if isinstance(measurements, list) else describe_value(measurements)
        raise BenchError(f"the metric {metric.name!r} must return a list of Measurement, got {got}")
    for each in found:
        if problem := _problem(each, metric):
            text = f"the metric {metric.name!r} returned a measurement {each.metric!r}"
            raise BenchError(f"{text}, {problem}")
    [(name, protocol), times] = Counter((m.metric, m.protocol) for m in found).most_common(1)[0]
    if times > 1 and protocol:
        raise BenchError(
            f"the metric {metric.name!r} returned {times} measurements {name!r} of one protocol, "
            f"{protocol}; the protocol names every choice that changes the number"
        )
    return found


def _problem(found: Measurement, metric: Metric) -> str:
    """Return what is wrong with a measurement, for the end of a message; empty if nothing is."""
    name = str(found.metric)
    if not {name, name.partition("/")[0]} & {*metric.quantities}:
        return f"which is not among its quantities: {', '.join(metric.quantities)}"
    for key in ("protocol", "reason"):
        if not isinstance(text := getattr(found, key), str):
            return f"whose {key} is not text but {describe_value(text)}"
    for key in ("value", "error"):
        number = getattr(found, key)
        if isinstance(number, bool) or not isinstance(number, float | int | None):
            got = describe_value(number)
            return f"whose {key} is not a float but {got}; .item() makes one of a tensor"
        if number is not None and not math.isfinite(number):
            return (
                f"whose {key} is {number}; what cannot be computed is None, a value with a reason"
            )
    if found.error is not None and found.error < 0:
        return f"whose error is {found.error}; a standard error is at least 0"
    if found.value is None and not found.reason:
        return "without a value and without a reason"
    if found.value is not None and not found.protocol:
        return (
            "without a protocol, so it would fit any column; the protocol names every choice that "
            "changes the number"
        )
    return ""


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
    if changed.get("extractor", "pixels") != "pixels":  # which nobody has trained
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

    With other sampling options, metrics do not see the model: its codes are the same.
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
