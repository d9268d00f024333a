"""YAML whose every value remembers the line it came from, and patches of such values.

Whatever turns out to be wrong with a value later, the message can point at the file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.errors import SpecError, unknown

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
        names = {part.value["name"] for part in (self, patch) if "name" in part.value}
        if key in COMPONENTS and len(names) > 1:
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


def expand_shorthand(settings: Located) -> Located:
    """Write `model: cvae` as `model: {name: cvae}`, so that patches can be merged into it."""
    for key in COMPONENTS:
        if isinstance(settings.value, dict) and isinstance(settings.value.get(key), str):
            mark = settings.where((key,))
            value = {**settings.value, key: {"name": settings.value[key]}}
            settings = Located(value, {**settings.marks, (key, "name"): mark})
    return settings


def nested(keys: Sequence[str], value: Located) -> Located:
    """Return `{a: {b: value}}` for the keys `a, b`, shorthand expanded."""
    for key in reversed(keys):
        mark = value.where(())
        below = {(key, *route): m for route, m in value.marks.items()}
        value = expand_shorthand(Located({key: value.value}, {(): mark, **below}))
    return value


class Loader(yaml.SafeLoader):
    """YAML as people mean it: `1e-3` is a number, `no` and `on` are words."""


Loader.yaml_implicit_resolvers = {}
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
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def parse_value(text: str, where: str) -> Any:
    """Return the value that a YAML text means; `where` stands in the message if it is none."""
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise SpecError(f"is not YAML: {error}", where=where) from error


def parse_option(text: str) -> tuple[str, Any]:
    """Return key and value of a `key=value` from the command line, the value in YAML."""
    key, equals, value = text.partition("=")
    where = f"command line, {text}"
    if not equals or not key:
        raise SpecError("an override reads path=value, as in base.iterations=500", where=where)
    return key, parse_value(value, where)


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
    loader = Loader(text)
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
        raise SpecError("expected a mapping (key: value)", where=f"{path}:1")
    return Located(value, marks)


def _plain(
    loader: Loader, node: yaml.Node, route: Route, marks: dict[Route, str], path: Path
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
