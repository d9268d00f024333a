"""The configuration of one run: its complete canonical form, and the id that is its hash.

What a user writes is short; what is recorded is complete: every option of the model and the data
set, the whole objective table and every player's optimizer, with all defaults filled in. The id
is the hash of that *training* part. What is measured afterwards is not part of the id, so a
metric can be added later without training again.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bench import registry
from bench.errors import BenchError, SpecError, unknown
from bench.spec.components import complete_component, construct
from bench.spec.run_settings import Evaluation, Optimizer, RunSettings, Training
from bench.spec.validation import KeyProblem, Path, check

if TYPE_CHECKING:
    from bench.data.base import DataSpec, Source
    from bench.metrics.base import Metric
    from bench.training.interface import ConditionalGenerator

SCHEMA_VERSION = 2

ONCE_ON_TEST = {"snapshots": 1, "splits": ["test"]}
"""The plain way of measuring. It is left out of `evaluation_id`, which is older than these keys."""


@dataclass(frozen=True)
class RunConfig:
    """One run, complete.

    Attributes:
        training: The complete training configuration.
        evaluation: What to measure.
    """

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
        """What is to be measured on the run itself, as it is written to `config.json`."""
        return self.evaluation.model_dump(mode="json", exclude={"controls"})

    @cached_property
    def evaluation_id(self) -> str:
        """Twelve hexadecimal digits, the hash of `measured`."""
        asked = self.measured
        plain = ONCE_ON_TEST.items()
        return digest({key: value for key, value in asked.items() if (key, value) not in plain})

    @property
    def steps(self) -> list[int]:
        """The numbers of iterations after which the run is measured, the last one last."""
        return self.evaluation.steps(self.training.iterations)

    def source(self) -> "Source":
        """Return the data set, not loaded."""
        source: Source = construct("dataset", self.training.data)
        return source

    def model(self, spec: "DataSpec") -> "ConditionalGenerator":
        """Return a freshly initialized model for data of that shape."""
        model: ConditionalGenerator = construct("model", self.training.model, spec)
        return model

    def metrics(self) -> "list[Metric]":
        """Return the metrics to measure, in the order of the sweep."""
        return [construct("metric", chosen) for chosen in self.evaluation.metrics]


def canonical_json(value: Any) -> str:
    """Return the one way of writing a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def complete(raw: Mapping[str, Any]) -> RunConfig:
    """Check one run's settings and fill in every default.

    Args:
        raw: What a sweep says about one run, as plain data.

    Returns:
        The complete configuration.

    Raises:
        KeyProblem: With the path of the offending key and a sentence for people.
    """
    settings: RunSettings = check(TypeAdapter(RunSettings), raw, ())
    data = complete_component("dataset", settings.data, ("data",))
    model = complete_component("model", settings.model, ("model",), skip=1)
    metrics = [
        complete_component("metric", metric, ("metrics", index))
        for index, metric in enumerate(settings.metrics)
    ]
    controls = _controls(settings.controls)
    splits = _splits(settings, data)
    spec = _spec(data, ("data",))
    tables = _read_tables(model, spec)
    objective = _edit_objective(tables, settings.objective)
    optimizers = _edit_optimizers(tables, settings.optimizers)
    for index, player in enumerate(settings.average.players if settings.average else []):
        if player not in tables.players():
            path = ("average", "players", index)
            raise KeyProblem(path, unknown("player", player, tables.players()))
    fields = {name: getattr(settings, name) for name in Training.model_fields}
    fields |= {"model": model, "data": data, "objective": objective, "optimizers": optimizers}
    fields |= _supervision(settings, spec, model["name"], tables.capabilities)
    return RunConfig(
        Training.model_construct(**fields),
        Evaluation.model_construct(
            metrics=metrics,
            samples_per_class=settings.samples_per_class,
            controls=controls,
            snapshots=settings.snapshots,
            splits=splits,
        ),
    )


def _controls(names: Sequence[str]) -> list[str]:
    """Return the controls without repetition."""
    known = registry.entries("control")
    for index, name in enumerate(names):
        if name not in known:
            raise KeyProblem(("controls", index), unknown("control", name, known))
    return list(dict.fromkeys(names))


def _splits(settings: RunSettings, data: Mapping[str, Any]) -> list[str]:
    """Return the splits in their order, checked with the snapshots against what there is."""
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


def recorded(canonical: Mapping[str, Any]) -> Training:
    """Return the training configuration that a `config.json` holds.

    Args:
        canonical: The recorded form, complete by construction.

    Returns:
        The same configuration as an object.

    Raises:
        BenchError: If another version of the schema wrote it.
    """
    fields = dict(canonical)
    if (version := fields.pop("schema", None)) != SCHEMA_VERSION:
        raise BenchError(f"written with schema {version}, this is schema {SCHEMA_VERSION}")
    return Training.model_validate_json(json.dumps(fields))


def _spec(data: dict[str, Any], path: Path) -> "DataSpec":
    """Return the shape of a data set, without loading it."""
    try:
        spec: DataSpec = construct("dataset", data).spec
    except (SpecError, ValueError) as error:
        raise KeyProblem(path, str(error)) from error
    return spec


def _supervision(
    settings: RunSettings, spec: "DataSpec", model: str, capabilities: Collection[str]
) -> dict[str, Any]:
    """Return which rows carry labels, checked against what the model and the data allow."""
    extra, rows, size = settings.unlabeled, settings.labeled_rows, settings.batch_size
    if rows > size:
        raise KeyProblem(("labeled_rows",), f"must be at most batch_size, {size}; got {rows}")
    if extra is None and settings.labeled_fraction == 1:
        if rows not in (0, size):
            raise KeyProblem(
                ("labeled_rows",),
                f"is {rows} of {size} rows, but all examples carry labels; "
                "set labeled_fraction below 1, or name an unlabeled data set",
            )
        return {"labeled_rows": size}
    if rows == size:
        if extra is not None:
            raise KeyProblem(
                ("labeled_rows",),
                f"is all {size} rows, which leaves none for the examples of {extra['name']}",
            )
        return {}
    if "semi-supervised" not in capabilities:
        able = [name for name, e in registry.entries("model").items() if "semi-supervised" in e.can]
        raise KeyProblem(
            ("labeled_fraction" if extra is None else "unlabeled",),
            f"{model} needs a label for every example; models that do not: {', '.join(able)}; "
            f"or set labeled_rows: {size} to use the labeled examples alone",
        )
    if extra is not None:
        extra = complete_component("dataset", extra, ("unlabeled",))
        if (shape := _spec(extra, ("unlabeled",)).shape) != spec.shape:
            raise KeyProblem(
                ("unlabeled",),
                f"{extra['name']} has examples of shape {shape}, {spec.name} of {spec.shape}",
            )
    return {"unlabeled": extra, "labeled_rows": rows or max(1, size // 2)}


def _read_tables(model: dict[str, Any], spec: "DataSpec") -> "ConditionalGenerator":
    """Build the model without memory, to read its players, stages and tables."""
    import torch

    try:
        with torch.device("meta"):
            built: ConditionalGenerator = construct("model", model, spec)
    except (ValueError, TypeError) as error:
        raise KeyProblem(("model",), f"{model['name']} on {spec.name}: {error}") from error
    return built


def _edit_objective(
    model: "ConditionalGenerator", edits: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    table = {
        player: {term: float(weight) for term, weight in row.items()}
        for player, row in model.objective.items()
    }
    terms = {term for row in table.values() for term in row}
    for player, row in edits.items():
        if player not in table:
            raise KeyProblem(("objective", player), unknown("player", player, table))
        for term, weight in row.items():
            if term not in terms:
                raise KeyProblem(("objective", player, term), unknown("term", term, terms))
            table[player][term] = weight
    if not any(weight for row in table.values() for weight in row.values()):
        raise KeyProblem(("objective",), "every weight is 0: nobody would learn anything")
    return table


def _edit_optimizers(
    model: "ConditionalGenerator", edits: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    players = model.players()
    for player in edits:
        if player != "default" and player not in players:
            known = ("default", *players)
            raise KeyProblem(("optimizers", player), unknown("player", player, known))
    table = {}
    for player in players:
        row: dict[str, Any] = {"name": "adam"}
        for source in (model.optimizers, edits):
            row = _override(row, source.get("default", {}))
        for source in (model.optimizers, edits):
            row = _override(row, source.get(player, {}))
        path = ("optimizers", player if player in edits else "default")
        table[player] = check(TypeAdapter(Optimizer), row, path).model_dump(mode="json")
    return table


def _override(row: Mapping[str, Any], edit: Mapping[str, Any]) -> dict[str, Any]:
    """Edit optimizer settings; another optimizer keeps only the rate and its schedule."""
    if edit.get("name", row["name"]) != row["name"]:
        row = {key: row[key] for key in ("rate", "schedule") if key in row}
    return {**row, **edit}
