"""From a sweep file to checked runs; a `SpecError` names the file, the line and the key."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, field_validator

from bench import registry
from bench.errors import BenchError, SpecError
from bench.spec.located_yaml import Located, nested, parse_option, read_yaml
from bench.spec.reserved_names import EVALUATIONS
from bench.spec.run_config import RunConfig, complete_settings
from bench.spec.run_settings import RunSettings, Strict
from bench.spec.validation import describe_unknown_key, validate

NOT_SWEEPS = ("tables.yaml", "tune.yaml")  # what else may lie in a folder of sweeps


class SweepFile(Strict):
    """The top level of a sweep file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the folder under the results; several sweeps may share one."""
    title: str = ""
    """One line for tables and pages."""
    base: dict[str, Any]
    """Settings that all runs share."""
    seeds: list[int] = Field(min_length=1)
    """Each variant is run once for each."""
    variants: dict[str, dict[str, Any]] = {}
    """Name -> patch of the base; one variant without a patch where empty."""
    grid: dict[str, list[Any]] = {}
    """Dotted path -> values; every variant is run for the product."""

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name == EVALUATIONS:
            raise ValueError("that folder is where `bench evaluate` keeps its rows")
        return name

    @field_validator("seeds")
    @classmethod
    def _are_distinct(cls, seeds: list[int]) -> list[int]:
        if min(seeds) < 0:
            raise ValueError("seeds must be >= 0")
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must be distinct")
        return seeds


Spec = TypeVar("Spec", bound=SweepFile)


@dataclass(frozen=True)
class PlannedRun:
    """One variant, the grid point in its name included, with one seed."""

    variant: str
    config: RunConfig


@dataclass(frozen=True)
class Sweep:
    """A checked sweep; variants are in the file's order, seeds innermost."""

    name: str
    title: str
    path: Path
    runs: tuple[PlannedRun, ...] = field(repr=False)


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep file; overrides are `dotted.path=value`, with values in YAML."""
    document, head = read_spec(path, overrides, SweepFile)
    runs: dict[str, PlannedRun] = {}
    for variant, settings in variants_of(document, head):
        config = complete_variant(settings, variant, head.seeds[0])
        for seed in head.seeds:
            run = PlannedRun(variant, config.with_seed(seed))
            if run.config.id in runs:
                raise document.error(
                    ("variants", variant),
                    f"describes the same run as {runs[run.config.id].variant!r} (seed {seed}); "
                    "two variants must differ in something that is trained",
                )
            runs[run.config.id] = run
    return Sweep(head.name, head.title, path, tuple(runs.values()))


def read_spec(path: Path, overrides: Sequence[str], schema: type[Spec]) -> tuple[Located, Spec]:
    """Return a sweep file, and its top level as an object."""
    document = read_yaml(path)
    for override in overrides:
        document = _override(document, override, schema)
    with document.locating_errors():
        head: Spec = validate(schema, document.value, ())
    return document, head


def variants_of(document: Located, head: SweepFile) -> Iterable[tuple[str, Located]]:
    """Yield each variant of a sweep file, grid points included, with its settings."""
    base = document.at(("base",))
    model = base.value.get("model", "base")
    model_name = model.get("name", "base") if isinstance(model, dict) else model
    patched = [(v, base.merged(document.at(("variants", v)))) for v in head.variants]
    grid = [[(key, value) for value in document.at(("grid", key)).content] for key in head.grid]
    for variant, patched_base in patched or [(str(model_name), base)]:
        for point in itertools.product(*grid):
            settings, name = patched_base, variant
            for key, value in point:
                settings = settings.merged(nested(key.split("."), value))
                name += f", {key.rsplit('.', 1)[-1]}={value.value}"
            if name in registry.registered("control"):
                message = f"{name!r} is the name of a control row; give the variant another name"
                raise document.error(("variants", name), message)
            if "seed" in settings.value:
                raise settings.error(("seed",), "belongs into the list 'seeds' of the sweep")
            yield name, settings


def complete_variant(settings: Located, variant: str, seed: int) -> RunConfig:
    """Complete the settings of a variant, whose name is for messages."""
    settings = settings.merged(Located.of({"seed": seed}))
    with settings.locating_errors(f" (variant {variant!r})"):
        return complete_settings(settings.value)


def _override(document: Located, override: str, schema: type[SweepFile]) -> Located:
    path, value = parse_option(override)
    where = f"command line, {override}"
    keys = path.split(".")
    if keys[0] not in schema.model_fields:
        hint = ""
        if keys[0] in RunSettings.model_fields:
            hint = f"; settings of the runs belong under base: base.{override}"
        raise SpecError(describe_unknown_key(keys[0], schema.model_fields) + hint, where=where)
    return document.merged(nested(keys, Located.of(value, where)))


def find_sweeps(folder: Path = Path("sweeps")) -> list[Path]:
    """Return the sweep files of a folder, in the order of their names."""
    return [path for path in sorted(folder.glob("*.yaml")) if path.name not in NOT_SWEEPS]


def sweep_title(path: Path) -> str:
    """Return the title of a sweep file, or why it cannot be read."""
    try:
        return str(read_yaml(path).value.get("title", ""))
    except BenchError as error:
        return f"({error})"
