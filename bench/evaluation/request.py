"""What a user asks to be measured, read from the command line and checked before anything loads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import SpecError
from bench.metrics.base import Metric
from bench.registry import Kind
from bench.spec.components import complete_component, construct
from bench.spec.located_yaml import parse_component
from bench.spec.validation import KeyProblem

DEFAULT_METRICS = (
    "inception_score",
    "intra_class_diversity",
    "class_accuracy",
    "fid",
    "precision_recall",
)


@dataclass(frozen=True)
class EvaluationRequest:
    """What to measure.

    Attributes:
        data: Name and options of the data set that images imitate; None where a run knows.
        components: Names and options of the metrics, complete.
        metrics: The same as objects.
        per_class: Samples of each class; None for the default.
        sample_seed: Seed to draw from a run with; its own where None.
        training_seed: Seed of the training behind images from elsewhere, if it is known.
    """

    data: dict[str, Any] | None
    components: tuple[dict[str, Any], ...]
    metrics: tuple[Metric, ...]
    per_class: int | None = None
    sample_seed: int | None = None
    training_seed: int | None = None


def read_request(
    data: str | None,
    metrics: Sequence[str],
    per_class: int | None = None,
    sample_seed: int | None = None,
    training_seed: int | None = None,
) -> EvaluationRequest:
    """Read the command line: data set and metrics, each as a name or in YAML."""
    chosen = None if data is None else _component("dataset", "--data", data)
    texts = metrics or DEFAULT_METRICS
    components = tuple(_component("metric", "--metric", text) for text in texts)
    built = tuple(_metric(*pair) for pair in zip(components, texts, strict=True))
    return EvaluationRequest(chosen, components, built, per_class, sample_seed, training_seed)


def _component(kind: Kind, option: str, text: str) -> dict[str, Any]:
    where = f"command line, {option} {text}"
    given = parse_component(text, where)
    try:
        return complete_component(kind, given, ())
    except KeyProblem as problem:
        hint = ""
        if kind == "dataset" and Path(text).exists():
            as_data = "npz" if Path(text).is_file() else "folder"
            hint = f"; images at a path are --data '{{name: {as_data}, path: {text}}}'"
        key = ".".join(map(str, problem.path))
        raise SpecError(problem.message + hint, where=where, key=key) from problem


def _metric(component: dict[str, Any], text: str) -> Metric:
    try:
        metric: Metric = construct("metric", component)
    except ValueError as error:
        raise SpecError(str(error), where=f"command line, --metric {text}") from error
    return metric
