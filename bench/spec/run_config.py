"""The configuration of one run with all defaults filled in, and the id that is its hash.

What is measured is not part of the id, so a metric can be added later without training again.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.errors import BenchError, shortened
from bench.spec.completion.declared import (
    checked_stages,
    chosen_average,
    edited_objective,
    edited_optimizers,
    edited_stages,
    refuse_unknown,
)
from bench.spec.completion.start_from import complete_start, start_at_seed
from bench.spec.components import complete_component, complete_sampling, construct, errors_at
from bench.spec.declaration import building, check_declaration, refused_draw, without_memory
from bench.spec.run_settings import Evaluation, RunSettings, Training
from bench.spec.sizes import refuse_impossible_sizes
from bench.spec.validation import KeyPath, KeyProblem, KeyProblems, validate_usable

if TYPE_CHECKING:
    from bench.data.base import DataSpec, Source
    from bench.metrics.base import Metric
    from bench.training.interface import ConditionalGenerator

SCHEMA_VERSION = 2

STAND_INS = {"model": {}, "data": {}, "seed": 0, "iterations": 10**9}
"""Take the place of wrong settings that have no default, so that the others can be checked."""

ONCE_ON_TEST = {"snapshots": 1, "splits": ["test"]}
"""Left out of `evaluation_id`, which is older than these keys."""


FILLS: Mapping[str, Callable[["ConditionalGenerator", RunSettings], Any]] = {
    "objective": edited_objective,
    "stages": checked_stages,
    "optimizers": edited_optimizers,
    "average": chosen_average,
}
"""Settings that are edits of what a model declares, and what completes them."""


@dataclass(frozen=True)
class RunConfig:
    """One run, complete: what is trained, and what is measured."""

    training: Training
    evaluation: Evaluation

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """The training part as plain data, as it is written to `config.json`."""
        return {"schema": SCHEMA_VERSION, **self.training.model_dump(mode="json")}

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits, the hash of `canonical`."""
        return digest(self.canonical)

    @cached_property
    def measured(self) -> dict[str, Any]:
        """The measuring of a row of the run, as it is written to `config.json`."""
        return self.evaluation.model_dump(mode="json", exclude={"controls", "sampling"})

    @cached_property
    def evaluation_id(self) -> str:
        """Hash of `measured` without the defaults in `ONCE_ON_TEST`, twelve hexadecimal digits."""
        plain = ONCE_ON_TEST.items()
        return digest(
            {key: value for key, value in self.measured.items() if (key, value) not in plain}
        )

    @cached_property
    def default_sampling(self) -> dict[str, Any]:
        """The sampling options of the run's own row: the defaults of the model."""
        return complete_sampling(self.training.model, {})

    @property
    def sampling_rows(self) -> dict[str, dict[str, Any]]:
        """The sampling rows: id, the hash of the options -> the options."""
        return {digest(options): options for options in self.evaluation.sampling.values()}

    @property
    def steps(self) -> list[int]:
        """The numbers of iterations after which the run is measured, in order."""
        return self.evaluation.steps(self.training.iterations)

    def with_seed(self, seed: int) -> "RunConfig":
        """Return the same run with another seed; a `KeyProblem` if it has nothing to start from."""
        start = self.training.start_from
        if start and start.variant is not None:
            start = start_at_seed(start, seed)
        update = {"seed": seed, "start_from": start}
        return replace(self, training=self.training.model_copy(update=update))

    def source(self) -> "Source":
        """Return the data set, not loaded."""
        source: Source = construct("dataset", self.training.data)
        return source

    def model(self, spec: "DataSpec") -> "ConditionalGenerator":
        """Return a freshly initialized model for data of that shape."""
        model: ConditionalGenerator = construct("model", self.training.model, spec)
        if self.training.stages:
            model.stages = edited_stages(model.stages, self.training.stages)
        return model

    def metrics(self) -> "list[Metric]":
        """Return the metrics to measure, in the order of the sweep."""
        return [construct("metric", component) for component in self.evaluation.metrics]


def canonical_json(value: Any) -> str:
    """Return the JSON text that hashes are taken of: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def recorded_training(canonical: Mapping[str, Any]) -> Training:
    """Return the training configuration that a `config.json` of this schema holds."""
    fields = dict(canonical)
    if (version := fields.pop("schema", None)) != SCHEMA_VERSION:
        raise BenchError(f"written with schema {version}, this is schema {SCHEMA_VERSION}")
    try:
        return Training.model_validate_json(json.dumps(fields))
    except ValueError as error:
        raise BenchError(f"is no configuration of a run: {shortened(str(error), 300)}") from error


def complete_settings(raw: Mapping[str, Any]) -> RunConfig:
    """Check the settings of one run and fill in every default; a `KeyProblem` has all problems."""
    problems = KeyProblems()
    settings: RunSettings
    settings, usable, problems.found = validate_usable(RunSettings, raw, STAND_INS)
    training: dict[str, Any] = {name: getattr(settings, name) for name in Training.model_fields}
    evaluation: dict[str, Any] = {name: getattr(settings, name) for name in Evaluation.model_fields}
    evaluation["metrics"] = []
    metrics: dict[int, Metric] = {}
    for index, metric in enumerate(settings.metrics):
        with problems.collecting():
            component = complete_component("metric", metric, ("metrics", index))
            with errors_at(("metrics", index)):
                metrics[index] = construct("metric", component)
            evaluation["metrics"].append(component)
    for index, name in enumerate(settings.controls):
        with problems.collecting():
            refuse_unknown("control", name, registry.registered("control"), ("controls", index))
    evaluation["controls"] = list(dict.fromkeys(settings.controls))
    spec = declared = None
    if "data" in usable:
        with problems.collecting():
            training["data"] = complete_component("dataset", settings.data, ("data",))
            spec = _spec(training["data"], ("data",))
            for index, built in metrics.items():
                with problems.collecting(), errors_at(("metrics", index)):
                    built.check(spec)
        with problems.collecting():
            evaluation["splits"] = _splits(settings, training["data"])
    if "model" in usable:
        with problems.collecting():
            training["model"] = complete_component("model", settings.model, ("model",))
            evaluation["sampling"] = _sampling(settings, training["model"], problems)
            declared = _declared_by(training["model"], spec) if spec else None
    if spec and declared:
        _refuse_draws(declared, spec, evaluation["sampling"], problems)
        training |= _declared_settings(settings, declared, spec, training["model"], problems)
    problems.refuse()
    complete = Training.model_construct(**training)
    if spec and declared:
        size = int(settings.samples_per_class)
        refuse_impossible_sizes(complete, declared, spec, samples=size * spec.classes)
    return RunConfig(complete, Evaluation.model_construct(**evaluation))


def _declared_settings(
    settings: RunSettings,
    declared: "ConditionalGenerator",
    spec: "DataSpec",
    model: Mapping[str, Any],
    problems: KeyProblems,
) -> dict[str, Any]:
    """Return the settings that depend on what a model declares."""
    found: dict[str, Any] = {}
    for name, fill in FILLS.items():
        with problems.collecting(), errors_at(("model",), f"{model['name']} on {spec.name}: "):
            found[name] = fill(declared, settings)
    with problems.collecting():
        found |= _supervision(settings, spec, model["name"], declared.capabilities)
    if settings.start_from:
        with problems.collecting():
            found["start_from"] = complete_start(settings.start_from, declared, settings.seed)
    return found


def _sampling(
    settings: RunSettings, model: Mapping[str, Any], problems: KeyProblems
) -> dict[str, dict[str, Any]]:
    """Return the complete sampling options of each sampling row."""
    complete: dict[str, dict[str, Any]] = {}
    rows = {canonical_json(complete_sampling(model, {})): "the row of the variant"}
    for name, options in settings.sampling.items():
        with problems.collecting():
            found = complete_sampling(model, options, ("sampling", name))
            same = rows.setdefault(canonical_json(found), repr(name))
            if same != repr(name):
                text = f"has the same options as {same}, so it would be the same row"
                raise KeyProblem(("sampling", name), text)
            complete[name] = found
    return complete


def _refuse_draws(
    declared: "ConditionalGenerator",
    spec: "DataSpec",
    sampling: Mapping[str, Mapping[str, Any]],
    problems: KeyProblems,
) -> None:
    """Collect what a model says of sampling options that it refuses."""
    draws: dict[KeyPath, Mapping[str, Any]] = {("model",): {}}
    draws |= {("sampling", name): options for name, options in sampling.items()}
    for path, options in draws.items():
        if reason := refused_draw(declared, spec, options):
            problems.found.append(KeyProblem(path, f"cannot be sampled: {reason}"))


def _splits(settings: RunSettings, data: Mapping[str, Any]) -> list[str]:
    """Return the splits in their order; check them and the snapshots."""
    if settings.snapshots > settings.iterations:
        raise KeyProblem(
            ("snapshots",),
            f"must be at most iterations, {settings.iterations}; got {settings.snapshots}",
        )
    if "validation" in settings.splits and data.get("validation_fraction") == 0:
        raise KeyProblem(
            ("splits", settings.splits.index("validation")),
            f"{data['name']} has no validation split, since its validation_fraction is 0",
        )
    return [split for split in ("test", "validation") if split in settings.splits]


def _spec(data: dict[str, Any], path: KeyPath) -> "DataSpec":
    """Return the shape of a data set, without loading it."""
    with errors_at(path):
        spec: DataSpec = construct("dataset", data).checked_spec()
    return spec


def _supervision(
    settings: RunSettings, spec: "DataSpec", model: str, capabilities: Collection[str]
) -> dict[str, Any]:
    """Return which examples carry labels, checked against what the model and the data allow."""
    extra, labeled, size = settings.unlabeled, settings.labeled_rows, settings.batch_size
    if labeled is not None and labeled > size:
        raise KeyProblem(("labeled_rows",), f"must be at most batch_size, {size}; got {labeled}")
    if extra is None and settings.labeled_fraction == 1:
        if labeled not in (None, size):
            raise KeyProblem(
                ("labeled_rows",),
                f"is {labeled} of {size} in a batch, but all examples carry labels; "
                "set labeled_fraction below 1, or name an unlabeled data set",
            )
        return {"labeled_rows": size}
    if labeled == size:
        if extra is not None:
            raise KeyProblem(
                ("labeled_rows",),
                f"is the whole batch, {size}, which leaves none for the examples of "
                f"{extra['name']}",
            )
        return {}
    if "semi-supervised" not in capabilities:
        able = [n for n, can in registry.model_capabilities().items() if "semi-supervised" in can]
        raise KeyProblem(
            ("labeled_fraction" if extra is None else "unlabeled",),
            f"{model} needs a label for every example; models that do not: {', '.join(able)}; or "
            + (
                f"set labeled_rows: {size} to use only the labeled examples"
                if extra is None
                else "leave out unlabeled"
            ),
        )
    if extra is not None:
        extra = complete_component("dataset", extra, ("unlabeled",))
        if (shape := _spec(extra, ("unlabeled",)).shape) != spec.shape:
            raise KeyProblem(
                ("unlabeled",),
                f"{extra['name']} has examples of shape {shape}, {spec.name} of {spec.shape}",
            )
    return {"unlabeled": extra, "labeled_rows": max(1, size // 2) if labeled is None else labeled}


def _declared_by(model: dict[str, Any], spec: "DataSpec") -> "ConditionalGenerator":
    """Return a model without memory, to read what it declares: players, objective, optimizers."""
    factory, path = registry.load("model", model["name"]), ("model",)
    with errors_at(path, f"{model['name']} on {spec.name}: "), building(factory, path):
        with without_memory():
            built: ConditionalGenerator = construct("model", model, spec)
        check_declaration(built, path)
    return built
