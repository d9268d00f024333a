"""The schema of one run, its complete canonical form, and the id that is its hash.

What a user writes is short; what is recorded is complete: every option of the model and the data
set, the whole objective table and every player's optimizer, with all defaults filled in. The id
is the hash of that *training* part. What is measured afterwards is not part of the id, so a
metric can be added later without training again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from bench import registry
from bench.errors import BenchError, SpecError, UnknownName, unknown

if TYPE_CHECKING:
    from bench.data.base import DataSpec, Source
    from bench.metrics.base import Metric
    from bench.training.interface import ConditionalGenerator

SCHEMA_VERSION = 1

Path = tuple[str | int, ...]


class KeyProblem(BenchError):
    """Something is wrong at one path of a configuration; the caller knows where that stands."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{'.'.join(map(str, path))}: {message}")


def _named(value: Any) -> Any:
    """Expand the shorthand `cvae` to `{name: cvae}`."""
    return {"name": value} if isinstance(value, str) else value


Component = Annotated[dict[str, Any], BeforeValidator(_named)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Unit = Literal["iterations", "epochs"]


class Strict(BaseModel):
    """Unknown keys are refused, and a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Constant(Strict):
    """The rate stays as it is."""

    name: Literal["constant"] = "constant"


class Drop(Strict):
    """The rate is multiplied by `factor` once, `at` that time."""

    name: Literal["drop"]
    at: Positive
    factor: Positive
    unit: Unit = "iterations"


class Staircase(Strict):
    """The rate is multiplied by `factor` again and again, each time `every` has passed."""

    name: Literal["staircase"]
    every: Positive
    factor: Positive
    unit: Unit = "iterations"


class Linear(Strict):
    """The rate falls in a straight line from `start` on, to `final` of itself at the last step."""

    name: Literal["linear"]
    start: Weight = 0.0
    final: Weight = 0.0
    unit: Unit = "iterations"


Schedule = Annotated[Constant | Drop | Staircase | Linear, Field(discriminator="name")]


class Adam(Strict):
    """Adam with the reference code's coefficients."""

    name: Literal["adam"] = "adam"
    rate: Positive = 5e-4
    betas: tuple[float, float] = (0.0, 0.9)
    eps: Positive = 1e-8
    schedule: Schedule = Constant()


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: Weight = 0.01


class SGD(Strict):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    rate: Positive = 5e-4
    momentum: Weight = 0.0
    weight_decay: Weight = 0.0
    schedule: Schedule = Constant()


Optimizer = Annotated[Adam | AdamW | SGD, Field(discriminator="name")]


class Average(Strict):
    """Exponential moving average of the weights of some players, used for sampling."""

    decay: Annotated[float, Field(gt=0, lt=1)]
    players: Annotated[list[str], Field(min_length=1)]


class Training(Strict):
    """All that can change what is learned; the id of a run is the hash of its complete form.

    Attributes:
        model: Name and options of a registered model.
        data: Name and options of a registered data set.
        seed: Seed of initialization, data order and noise.
        iterations: Trips through the stages.
        batch_size: Rows of a draw.
        objective: Player -> term -> weight; what is written edits the model's own table.
        optimizers: Player (or `default`) -> optimizer; edits the model's own table.
        average: Weights averaged for sampling; off where None.
        precision: `bfloat16` runs the networks under autocast.
        clip_norm: Largest norm of each player's gradient; unbounded where None.
        deterministic: Demand deterministic kernels from torch.
    """

    model: Component
    data: Component
    seed: Annotated[int, Field(ge=0)]
    iterations: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)] = 96
    objective: dict[str, dict[str, Weight]] = {}
    optimizers: dict[str, dict[str, Any]] = {}
    average: Average | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    clip_norm: Positive | None = None
    deterministic: bool = False


class Evaluation(Strict):
    """What is measured on a finished run; not part of the id.

    Attributes:
        metrics: Names and options of registered metrics.
        samples_per_class: Samples drawn for each class, and real test images beside them.
    """

    metrics: list[Component] = []
    samples_per_class: Annotated[int, Field(gt=0)] = 500


class RunSettings(Training, Evaluation):
    """What one point of a sweep says, before defaults are filled in."""


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
    def evaluation_id(self) -> str:
        """Twelve hexadecimal digits, the hash of what is to be measured."""
        return digest(self.evaluation.model_dump(mode="json"))

    def source(self) -> "Source":
        """Return the data set, not loaded."""
        source: Source = _construct("dataset", self.training.data)
        return source

    def model(self, spec: "DataSpec") -> "ConditionalGenerator":
        """Return a freshly initialized model for data of that shape."""
        model: ConditionalGenerator = _construct("model", self.training.model, spec)
        return model

    def metrics(self) -> "list[Metric]":
        """Return the metrics to measure, in the order of the sweep."""
        return [_construct("metric", component) for component in self.evaluation.metrics]


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
    data = _component("dataset", settings.data, ("data",))
    model = _component("model", settings.model, ("model",), skip=1)
    metrics = [
        _component("metric", metric, ("metrics", index))
        for index, metric in enumerate(settings.metrics)
    ]
    tables = _read_tables(model, data)
    objective = _edit_objective(tables, settings.objective)
    optimizers = _edit_optimizers(tables, settings.optimizers)
    for index, player in enumerate(settings.average.players if settings.average else []):
        if player not in tables.players():
            path = ("average", "players", index)
            raise KeyProblem(path, unknown("player", player, tables.players()))
    fields = {name: getattr(settings, name) for name in Training.model_fields}
    fields |= {"model": model, "data": data, "objective": objective, "optimizers": optimizers}
    return RunConfig(
        Training.model_construct(**fields),
        Evaluation.model_construct(metrics=metrics, samples_per_class=settings.samples_per_class),
    )


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


def optimizer(table: Mapping[str, Any]) -> Adam | AdamW | SGD:
    """Return the optimizer that one complete row of the `optimizers` table describes."""
    found: Adam | AdamW | SGD = TypeAdapter(Optimizer).validate_json(json.dumps(table))
    return found


def check(adapter: TypeAdapter[Any], value: Any, path: Path) -> Any:
    """Validate plain data, and rewrite the first complaint for people.

    Args:
        adapter: The schema.
        value: The data.
        path: Where the data stands in the run's settings.

    Returns:
        The validated object.

    Raises:
        KeyProblem: With the path of the first offending key.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise KeyProblem(path, f"not plain data: {error}") from error
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        # A misspelled key is both unknown and missing; that it is unknown tells more.
        first = min(error.errors(include_url=False), key=lambda e: e["type"] == "missing")
        known = _fields_at(adapter, first["loc"])
        # Tags of discriminated unions stand in pydantic's path, but not in the user's file.
        location = _real_path(value, first["loc"])
        raise KeyProblem((*path, *location), _sentence(dict(first), known)) from error


def _construct(kind: registry.Kind, component: Mapping[str, Any], *leading: object) -> Any:
    options = {key: value for key, value in component.items() if key != "name"}
    factory = registry.load(kind, component["name"])
    schema = registry.options_schema(factory, len(leading))
    checked = schema.model_validate_json(json.dumps(options))
    return factory(*leading, **{name: getattr(checked, name) for name in schema.model_fields})


def _component(
    kind: registry.Kind, given: Mapping[str, Any], path: Path, skip: int = 0
) -> dict[str, Any]:
    """Return a component with all options of its constructor filled in."""
    if not isinstance(given.get("name"), str):
        raise KeyProblem(path, f"needs the key 'name', one of: {', '.join(registry.entries(kind))}")
    try:
        factory = registry.load(kind, given["name"])
    except UnknownName as error:
        raise KeyProblem((*path, "name"), str(error)) from error
    options = {key: value for key, value in given.items() if key != "name"}
    schema = registry.options_schema(factory, skip)
    checked: BaseModel = check(TypeAdapter(schema), options, path)
    return {"name": given["name"], **checked.model_dump(mode="json")}


def _read_tables(model: dict[str, Any], data: dict[str, Any]) -> "ConditionalGenerator":
    """Build the model without memory, to read its players, stages and tables."""
    import torch

    try:
        spec = _construct("dataset", data).spec
    except (SpecError, ValueError) as error:
        raise KeyProblem(("data",), str(error)) from error
    try:
        with torch.device("meta"):
            built: ConditionalGenerator = _construct("model", model, spec)
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


def _fields_at(adapter: TypeAdapter[Any], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed beside the one that pydantic complains about."""
    schema: Any = adapter.json_schema(mode="validation")
    definitions = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            node = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return node

    node = resolve(schema)
    for part in location[:-1]:
        node = resolve(node)
        options = [resolve(option) for option in node.get("oneOf", node.get("anyOf", []))]
        tagged = [
            o for o in options if o.get("properties", {}).get("name", {}).get("const") == part
        ]
        if tagged:
            node = tagged[0]
            continue
        if options and "properties" not in node:
            node = next((o for o in options if "properties" in o), node)
        inner = node.get("properties", {}).get(part)
        if inner is None:
            inner = node.get("items") if isinstance(part, int) else node.get("additionalProperties")
        if not isinstance(inner, dict):
            return []
        node = inner
    node = resolve(node)
    options = [resolve(option) for option in node.get("anyOf", [])]
    node = next((option for option in options if "properties" in option), node)
    return list(node.get("properties", {}))


def _real_path(value: Any, location: tuple[int | str, ...]) -> Path:
    """Drop the parts of pydantic's path that are no keys of the data."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(value, dict) and (part in value or last):
            path.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def _sentence(error: dict[str, Any], known: list[str]) -> str:
    """Say what pydantic complains about, in words."""
    kind, given, context = error["type"], error.get("input"), error.get("ctx") or {}
    shown = json.dumps(given) if isinstance(given, str | int | float | bool) else repr(given)
    if given is None:
        shown = "nothing"
    if kind == "extra_forbidden":
        return unknown("key", str(error["loc"][-1]), known)
    if kind == "missing":
        return f"is required; known keys: {', '.join(sorted(known))}"
    expected = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a text",
        "dict_type": "a mapping (key: value)",
        "list_type": "a list",
        "tuple_type": "a list",
        "model_type": "a mapping (key: value)",
        "model_attributes_type": "a mapping (key: value)",
    }.get(kind)
    if expected:
        return f"expected {expected}, got {shown}"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = context.get("expected") or context.get("expected_tags")
        return f"expected one of {allowed}, got {shown}"
    for name, symbol in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if name in context:
            return f"must be {symbol} {context[name]}, got {shown}"
    return f"{str(error['msg'])[0].lower()}{str(error['msg'])[1:]}, got {shown}"
