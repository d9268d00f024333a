"""What a user asks to be measured, read from the command line and checked before anything loads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import SpecError
from bench.metrics.base import Metric
from bench.registry import Kind
from bench.spec.components import complete_component, construct
from bench.spec.located_yaml import parse_value
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
    """What to measure, with the default or what a run knows where None.

    `components` are complete names and options of the `metrics`. `sample_seed` is the seed to draw
    from a run with, `training_seed` that of the training behind images from elsewhere.
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
    dataset = None if data is None else _component("dataset", "--data", data)
    components, built = [], []
    for text in metrics or DEFAULT_METRICS:
        components.append(_component("metric", "--metric", text))
        try:
            built.append(construct("metric", components[-1]))
        except ValueError as error:
            raise SpecError(str(error), where=f"command line, --metric {text}") from error
    chosen = tuple(components), tuple(built)
    return EvaluationRequest(dataset, *chosen, per_class, sample_seed, training_seed)


def _component(kind: Kind, option: str, text: str) -> dict[str, Any]:
    where = f"command line, {option} {text}"
    value = parse_value(text, where)
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, dict):
        raise SpecError("expected a name, or {name: ..., option: ...}", where=where)
    try:
        return complete_component(kind, given, ())
    except KeyProblem as problem:
        hint = ""
        if kind == "dataset" and Path(text).exists():
            as_data = "npz" if Path(text).is_file() else "folder"
            hint = f"; images at a path are --data '{{name: {as_data}, path: {text}}}'"
        key = ".".join(map(str, problem.path))
        raise SpecError(problem.message + hint, where=where, key=key) from problem
