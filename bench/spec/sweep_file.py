"""YAML -> runs. A variant is a named patch of the base; a grid is a product; seeds repeat.

Every value remembers the line it came from, so whatever turns out to be wrong with it later, the
message points at the file. Nothing is started before every run of a sweep has been checked.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, TypeAdapter, field_validator

from bench import registry
from bench.errors import BenchError, SpecError, UnknownName, unknown
from bench.spec import run_config
from bench.spec.located_yaml import (
    Located,
    Route,
    expand_shorthand,
    nested,
    parse_option,
    read_yaml,
)
from bench.spec.reserved_names import EVALUATIONS
from bench.spec.run_settings import RunSettings, Strict
from bench.spec.validation import KeyProblem, check

NOT_SWEEPS = ("tables.yaml", "tune.yaml")  # what else may lie in a folder of sweeps


class SweepFile(Strict):
    """The top level of a sweep file.

    Attributes:
        name: Name of the folder under the results; several sweeps may share one.
        title: One line for tables and pages.
        base: Settings that all runs share.
        seeds: Each variant is run once for each.
        variants: Name -> patch of the base; one variant without a patch where empty.
        grid: Dotted path -> values; every variant is run for the product.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    base: dict[str, Any]
    seeds: list[int] = Field(min_length=1)
    variants: dict[str, dict[str, Any]] = {}
    grid: dict[str, list[Any]] = {}

    @field_validator("name")
    @classmethod
    def _not_ours(cls, name: str) -> str:
        if name == EVALUATIONS:
            raise ValueError("that folder is where `bench evaluate` keeps its rows")
        return name

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if min(seeds) < 0:
            raise ValueError("seeds must be >= 0")
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed may stand here once")
        return seeds


Spec = TypeVar("Spec", bound=SweepFile)


@dataclass(frozen=True)
class Run:
    """One cell of the matrix.

    Attributes:
        variant: Name of the row that the run belongs to, the grid point included.
        config: The complete configuration.
    """

    variant: str
    config: run_config.RunConfig


@dataclass(frozen=True)
class Sweep:
    """A checked sweep.

    Attributes:
        name: Folder under the results.
        title: One line for people.
        path: The file it came from.
        runs: All runs, variants in the file's order, seeds innermost.
    """

    name: str
    title: str
    path: Path
    runs: tuple[Run, ...] = field(repr=False)


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read, expand and check a sweep file.

    Args:
        path: The YAML file.
        overrides: `dotted.path=value` from the command line, values in YAML.

    Returns:
        The sweep, every run complete.

    Raises:
        SpecError: With file, line, key, and what would be right.
    """
    document, head = read_spec(path, overrides, SweepFile)
    runs: list[Run] = []
    seen: dict[str, str] = {}
    for variant, settings in variants_of(document, head):
        for index, seed in enumerate(head.seeds):
            place = document.where(("seeds", index))
            run = Run(variant, complete(settings, variant, seed, place))
            if run.config.id in seen:
                raise SpecError(
                    f"describes the same run as {seen[run.config.id]!r} (seed {seed}); "
                    "two variants must differ in something that is trained",
                    where=document.where(("variants", variant)),
                    key=f"variants.{variant}",
                )
            seen[run.config.id] = variant
            runs.append(run)
    return Sweep(head.name, head.title, path, tuple(runs))


def read_spec(path: Path, overrides: Sequence[str], schema: type[Spec]) -> tuple[Located, Spec]:
    """Read and check the top level of a sweep file, or of one that says more than a sweep.

    Args:
        path: The YAML file.
        overrides: `dotted.path=value` from the command line, values in YAML.
        schema: What may stand there.

    Returns:
        The document, shorthand expanded; and the same as an object.

    Raises:
        SpecError: With file, line, key, and what would be right.
    """
    document = _normalized(read_yaml(path))
    for override in overrides:
        document = _overridden(document, override, schema)
    try:
        head: Spec = check(TypeAdapter(schema), document.value, ())
    except KeyProblem as problem:
        raise _spec_error(document, (), problem) from problem
    return document, head


def variants_of(document: Located, head: SweepFile) -> Iterable[tuple[str, Located]]:
    """Yield each variant of a sweep file, grid points included, with its settings.

    Args:
        document: The file.
        head: Its top level.

    Yields:
        The name, and the patched base.

    Raises:
        SpecError: If a variant cannot be called so, or sets what is not its to set.
    """
    for variant, settings in _cells(document, head):
        if variant in registry.entries("control"):
            raise SpecError(
                f"{variant!r} is the name of a control row; call the variant otherwise",
                where=document.where(("variants", variant)),
                key=f"variants.{variant}",
            )
        if "seed" in settings.value:
            raise SpecError(
                "belongs into the list 'seeds' of the sweep",
                where=settings.where(("seed",)),
                key="seed",
            )
        yield variant, settings


def _cells(document: Located, head: SweepFile) -> Iterable[tuple[str, Located]]:
    base = document.at(("base",))
    patched = [(v, base.merged(document.at(("variants", v)))) for v in head.variants]
    model = base.value.get("model")
    alone = str(model.get("name", "base")) if isinstance(model, dict) else "base"
    for label, settings in patched or [(alone, base)]:
        points = [[(key, i) for i in range(len(values))] for key, values in head.grid.items()]
        for point in itertools.product(*points):
            cell, parts = settings, [label]
            for key, index in point:
                value = document.at(("grid", key, index))
                cell = cell.merged(nested(key.split("."), value))
                parts.append(f"{key.rsplit('.', 1)[-1]}={value.value}")
            yield ", ".join(parts), cell


def complete(settings: Located, variant: str, seed: int, where: str = "") -> run_config.RunConfig:
    """Complete the settings of one run.

    Args:
        settings: All but the seed.
        variant: Name of the variant, for messages.
        seed: The seed.
        where: Where it was written.

    Returns:
        The complete configuration.

    Raises:
        SpecError: With file, line, key, and what would be right.
    """
    settings = settings.merged(Located({"seed": seed}, {("seed",): where}))
    try:
        return run_config.complete(settings.value)
    except KeyProblem as problem:
        raise _spec_error(settings, (), problem, variant) from problem
    except UnknownName as error:
        raise SpecError(str(error), where=settings.where(())) from error


def _spec_error(
    located: Located, prefix: Route, problem: KeyProblem, variant: str = ""
) -> SpecError:
    route = (*prefix, *problem.path)
    key = ".".join(map(str, route))
    return SpecError(
        problem.message + (f" (variant {variant!r})" if variant else ""),
        where=located.where(route),
        key=key,
    )


def _normalized(document: Located) -> Located:
    """Expand the shorthand in the base and in every variant."""
    variants = document.value.get("variants")
    routes = [("base",), *(("variants", v) for v in variants or {} if isinstance(variants, dict))]
    for route in routes:
        if route[0] in document.value:
            document = document.merged(nested(route, expand_shorthand(document.at(route))))
    return document


def _overridden(document: Located, override: str, schema: type[SweepFile]) -> Located:
    dotted, value = parse_option(override)
    where = f"command line, {override}"
    keys = dotted.split(".")
    if keys[0] not in schema.model_fields:
        hint = ""
        if keys[0] in RunSettings.model_fields:
            hint = f"; settings of the runs stand under base: base.{override}"
        raise SpecError(unknown("key", keys[0], schema.model_fields) + hint, where=where)
    return document.merged(nested(keys, Located(value, {(): where})))


def find_sweeps(folder: Path = Path("sweeps")) -> list[Path]:
    """Return the sweep files of a folder, in the order of their names."""
    return [p for p in sorted(folder.glob("*.yaml")) if p.name not in NOT_SWEEPS]


def summary(path: Path) -> str:
    """Return the title of a sweep file, or why it cannot be read."""
    try:
        return str(read_yaml(path).value.get("title", ""))
    except BenchError as error:
        return f"({error})"
