"""YAML whose every value remembers where it was written, and patches of such values.

Whatever turns out to be wrong with a value later, the message can name file and line.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.errors import SpecError, describe_unknown
from bench.spec.validation import KeyPath, dotted

COMPONENTS = ("model", "data")  # settings with a name and options of their own


@dataclass(frozen=True)
class Located:
    """Plain data, and where each of its parts was written.

    Attributes:
        value: Mappings, lists and scalars.
        marks: Path of a part -> `file:line`, or the text of an override.
    """

    value: Any
    marks: Mapping[KeyPath, str]

    def where(self, path: KeyPath) -> str:
        """Return where a part, or else the nearest part around it, was written."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.marks:
                return self.marks[path[:length]]
        return ""

    def at(self, path: KeyPath) -> "Located":
        """Return one part, with paths relative to it."""
        value = self.value
        for key in path:
            value = value[key]
        size = len(path)
        marks = {p[size:]: mark for p, mark in self.marks.items() if p[:size] == path}
        return Located(value, {(): self.where(path), **marks})

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
            part = patch.at((key,))
            if key in value:
                part = self.at((key,)).merged(part, key)
                marks = {path: mark for path, mark in marks.items() if path[:1] != (key,)}
            value[key] = part.value
            marks |= {(key, *path): mark for path, mark in part.marks.items()}
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
        marks = {(key, *path): mark for path, mark in value.marks.items()}
        value = expand_shorthand(Located({key: value.value}, {(): value.where(()), **marks}))
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
    """Return the value of a YAML text; the error for a text that is no YAML says `where` it is."""
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise SpecError(f"is not YAML: {error}", where=where) from error


def parse_component(text: str, where: str) -> dict[str, Any]:
    """Return the component that a YAML text means: a name, or a mapping of name and options."""
    value = parse_value(text, where)
    component = {"name": value} if isinstance(value, str) else value
    if not isinstance(component, dict):
        raise SpecError("expected a name, or {name: ..., option: ...}", where=where)
    return component


def parse_option(text: str) -> tuple[str, Any]:
    """Return key and value of a `key=value` from the command line, the value in YAML."""
    key, equals, value = text.partition("=")
    where = f"command line, {text}"
    if not equals or not key:
        raise SpecError("an override reads path=value, as in base.iterations=500", where=where)
    return key, parse_value(value, where)


def read_yaml(path: Path) -> Located:
    """Read a file that is one YAML mapping, with marks `file:line`; no key may stand twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        names = [neighbor.name for neighbor in path.parent.glob("*.yaml")]
        message = describe_unknown("sweep file", path.name, names)
        raise SpecError(message, where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", where=str(path)) from error
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        marks: dict[KeyPath, str] = {(): f"{path}:1"}
        value = _construct(loader, node, (), marks, path) if node else {}
    except yaml.YAMLError as error:
        where, problem = str(path), str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
            where += f":{error.problem_mark.line + 1}"
            problem = " ".join(part for part in (error.context, error.problem) if part)
        raise SpecError(f"is not valid YAML: {problem}", where=where) from error
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise SpecError("expected a mapping (key: value)", where=f"{path}:1")
    return Located(value, marks)


def _construct(
    loader: Loader, node: yaml.Node, path: KeyPath, marks: dict[KeyPath, str], file: Path
) -> Any:
    """Return the value of a node, and add the lines of its parts to `marks`."""
    marks.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node)
            where = f"{file}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                key = json.dumps(key) if isinstance(key, int | float | bool) else str(key)
            if key in mapping:
                raise SpecError("stands here twice", where=where, key=dotted((*path, key)))
            marks[(*path, key)] = where
            mapping[key] = _construct(loader, value_node, (*path, key), marks, file)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, n, (*path, i), marks, file) for i, n in enumerate(node.value)]
    return loader.construct_object(node)
