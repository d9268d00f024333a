"""YAML -> runs. A variant is a named patch of the base; a grid is a product; seeds repeat.

Every value remembers the line it came from, so whatever turns out to be wrong with it later, the
message points at the file. Nothing is started before every run of a sweep has been checked.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, TypeAdapter, field_validator

from bench import config
from bench.errors import BenchError, SpecError, UnknownName, unknown

Route = tuple[str | int, ...]

COMPONENTS = ("model", "data")  # settings with a name and options of their own


@dataclass(frozen=True)
class Located:
    """Plain data, and where each of its parts was written.

    Attributes:
        value: Mappings, lists and scalars.
        marks: Path of a part -> `file:line`, or the text of an override.
    """

    value: Any
    marks: Mapping[Route, str]

    def where(self, route: Route) -> str:
        """Return where a part, or else the nearest part around it, was written."""
        for length in range(len(route), -1, -1):
            if route[:length] in self.marks:
                return self.marks[route[:length]]
        return ""

    def at(self, route: Route) -> "Located":
        """Return one part, with paths relative to it."""
        value = self.value
        for key in route:
            value = value[key]
        size = len(route)
        marks = {r[size:]: mark for r, mark in self.marks.items() if r[:size] == route}
        return Located(value, {(): self.where(route), **marks})

    def merged(self, patch: "Located", key: str = "") -> "Located":
        """Return this with a patch laid over it: mappings are merged, all else is replaced.

        A model or data set of another name replaces the whole component, since the options of
        one mean nothing to another.
        """
        if not (isinstance(self.value, dict) and isinstance(patch.value, dict)):
            return patch
        if key in COMPONENTS and patch.value.get("name", self.value.get("name")) != self.value.get(
            "name"
        ):
            return patch
        value = dict(self.value)
        marks = dict(self.marks)
        for key in patch.value:
            below = patch.at((key,))
            if key in value:
                below = self.at((key,)).merged(below, key)
                marks = {r: mark for r, mark in marks.items() if r[:1] != (key,)}
            value[key] = below.value
            marks |= {(key, *r): mark for r, mark in below.marks.items()}
        return Located(value, marks)


class SweepFile(config.Strict):
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

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if min(seeds) < 0:
            raise ValueError("seeds must be >= 0")
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed may stand here once")
        return seeds


@dataclass(frozen=True)
class Run:
    """One cell of the matrix.

    Attributes:
        variant: Name of the row that the run belongs to, the grid point included.
        config: The complete configuration.
    """

    variant: str
    config: config.RunConfig


@dataclass(frozen=True)
class Sweep:
    """A checked sweep.

    Attributes:
        name: Folder under the results.
        title: One line for people.
        path: The file it came from.
        overrides: What the command line changed.
        runs: All runs, variants in the file's order, seeds innermost.
    """

    name: str
    title: str
    path: Path
    overrides: tuple[str, ...]
    runs: tuple[Run, ...] = field(repr=False)

    @property
    def command(self) -> str:
        """The command line that runs this sweep."""
        return " ".join(["bench run", str(self.path), *self.overrides])


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
    document = _normalized(read_yaml(path))
    for override in overrides:
        document = _overridden(document, override)
    try:
        head: SweepFile = config.check(TypeAdapter(SweepFile), document.value, ())
    except config.KeyProblem as problem:
        raise _spec_error(document, (), problem) from problem
    runs: list[Run] = []
    seen: dict[str, str] = {}
    for variant, settings in _variants(document, head):
        if "seed" in settings.value:
            raise SpecError(
                "belongs into the list 'seeds' of the sweep",
                where=settings.where(("seed",)),
                key="seed",
            )
        for index, seed in enumerate(head.seeds):
            place = document.where(("seeds", index))
            seeded = settings.merged(Located({"seed": seed}, {("seed",): place}))
            run = Run(variant, _complete(seeded, variant))
            if run.config.id in seen:
                raise SpecError(
                    f"describes the same run as {seen[run.config.id]!r} (seed {seed}); "
                    "two variants must differ in something that is trained",
                    where=document.where(("variants", variant)),
                    key=f"variants.{variant}",
                )
            seen[run.config.id] = variant
            runs.append(run)
    return Sweep(head.name, head.title, path, tuple(overrides), tuple(runs))


def _variants(document: Located, head: SweepFile) -> Iterable[tuple[str, Located]]:
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
                cell = cell.merged(_nested(key.split("."), value))
                parts.append(f"{key.rsplit('.', 1)[-1]}={value.value}")
            yield ", ".join(parts), cell


def _complete(settings: Located, variant: str) -> config.RunConfig:
    try:
        return config.complete(settings.value)
    except config.KeyProblem as problem:
        raise _spec_error(settings, (), problem, variant) from problem
    except UnknownName as error:
        raise SpecError(str(error), where=settings.where(())) from error


def _spec_error(
    located: Located, prefix: Route, problem: config.KeyProblem, variant: str = ""
) -> SpecError:
    route = (*prefix, *problem.path)
    key = ".".join(map(str, route))
    return SpecError(
        problem.message + (f" (variant {variant!r})" if variant else ""),
        where=located.where(route),
        key=key,
    )


def _expand_shorthand(settings: Located) -> Located:
    """Write `model: cvae` as `model: {name: cvae}`, so that patches can be merged into it."""
    for key in COMPONENTS:
        if isinstance(settings.value, dict) and isinstance(settings.value.get(key), str):
            mark = settings.where((key,))
            value = {**settings.value, key: {"name": settings.value[key]}}
            settings = Located(value, {**settings.marks, (key, "name"): mark})
    return settings


def _nested(keys: Sequence[str], value: Located) -> Located:
    for key in reversed(keys):
        mark = value.where(())
        below = {(key, *route): m for route, m in value.marks.items()}
        value = _expand_shorthand(Located({key: value.value}, {(): mark, **below}))
    return value


def _normalized(document: Located) -> Located:
    """Expand the shorthand in the base and in every variant."""
    variants = document.value.get("variants")
    routes = [("base",), *(("variants", v) for v in variants or {} if isinstance(variants, dict))]
    for route in routes:
        if route[0] in document.value:
            document = document.merged(_nested(route, _expand_shorthand(document.at(route))))
    return document


def _overridden(document: Located, override: str) -> Located:
    dotted, equals, text = override.partition("=")
    where = f"command line, {override}"
    if not equals or not dotted:
        raise SpecError("an override reads path=value, as in base.iterations=500", where=where)
    keys = dotted.split(".")
    if keys[0] not in SweepFile.model_fields:
        hint = ""
        if keys[0] in config.RunSettings.model_fields:
            hint = f"; settings of the runs stand under base: base.{override}"
        raise SpecError(unknown("key", keys[0], SweepFile.model_fields) + hint, where=where)
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SpecError(f"is not YAML: {error}", where=where) from error
    return document.merged(_nested(keys, Located(value, {(): where})))


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `1e-3` is a number, `no` and `on` are words."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("null", r"^(?:~|null|Null|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9_]*)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9_]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?\.(?:inf|Inf)$|^\.(?:nan|NaN)$",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_yaml(path: Path) -> Located:
    """Read a YAML file, keeping the line of every value.

    Args:
        path: The file.

    Returns:
        Its content with marks `file:line`.

    Raises:
        SpecError: If there is no such file, it is no YAML, or a key stands twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise SpecError(unknown("sweep file", path.name, beside), where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", where=str(path)) from error
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        marks: dict[Route, str] = {(): f"{path}:1"}
        value = _plain(loader, node, (), marks, path) if node else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        told = " ".join(part for part in (error.context, error.problem) if part)
        raise SpecError(f"is not valid YAML: {told}", where=f"{path}:{line}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"is not valid YAML: {error}", where=str(path)) from error
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise SpecError("expected a mapping with the keys name, base, seeds", where=f"{path}:1")
    return Located(value, marks)


def _plain(
    loader: _Loader, node: yaml.Node, route: Route, marks: dict[Route, str], path: Path
) -> Any:
    marks.setdefault(route, f"{path}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node)
            here = f"{path}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                key = json.dumps(key) if isinstance(key, int | float | bool) else str(key)
            if key in mapping:
                raise SpecError("stands here twice", where=here, key=_dotted((*route, key)))
            marks[(*route, key)] = here
            mapping[key] = _plain(loader, value_node, (*route, key), marks, path)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, n, (*route, i), marks, path) for i, n in enumerate(node.value)]
    return loader.construct_object(node)


def _dotted(route: Route) -> str:
    return ".".join(map(str, route))


def find_sweeps(folder: Path = Path("sweeps")) -> list[Path]:
    """Return the sweep files of a folder, in the order of their names."""
    return [p for p in sorted(folder.glob("*.yaml")) if p.name != "tables.yaml"]


def summary(path: Path) -> str:
    """Return the title of a sweep file, or why it cannot be read."""
    try:
        return str(read_yaml(path).value.get("title", ""))
    except BenchError as error:
        return f"({error})"
