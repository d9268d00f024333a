"""YAML whose every value remembers file and line, for messages, and patches of such values."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench.errors import SpecError, describe_unknown
from bench.spec.validation import KeyPath, KeyProblem, dotted

COMPONENTS = ("model", "data")  # settings with a name and options of their own


@dataclass(frozen=True)
class Located:
    """Plain data in which every part knows where it was written."""

    content: Any  # a scalar, or a mapping or list of further parts
    mark: str = ""  # `file:line`, or the text of an override; unknown where empty

    @classmethod
    def of(cls, value: Any, mark: str = "") -> "Located":
        """Return plain data with one mark for all of it."""
        if isinstance(value, dict):
            return cls({key: cls.of(part, mark) for key, part in value.items()}, mark)
        return cls(
            [cls.of(part, mark) for part in value] if isinstance(value, list) else value, mark
        )

    @property
    def value(self) -> Any:
        """The plain data."""
        if isinstance(self.content, dict):
            return {key: part.value for key, part in self.content.items()}
        if isinstance(self.content, list):
            return [part.value for part in self.content]
        return self.content

    def at(self, path: KeyPath) -> "Located":
        """Return one part."""
        part = self
        for key in path:
            part = part.content[key]
        return part

    def where(self, path: KeyPath) -> str:
        """Return where a part, or else the nearest part around it, was written."""
        part, mark = self, self.mark
        for key in path:
            try:
                part = part.at((key,))
            except (LookupError, TypeError):
                break
            mark = part.mark or mark
        return mark

    def merged(self, patch: "Located", key: str = "") -> "Located":
        """Return this with a patch laid over it: mappings are merged, all else is replaced.

        A model or data set may be a name alone. One of another name replaces the whole component,
        since the options of one mean nothing to another.
        """
        before, changes = self.content, patch.content
        if key in COMPONENTS:
            before = {"name": self} if isinstance(before, str) else before
            changes = {"name": patch} if isinstance(changes, str) else changes
        if not (isinstance(before, dict) and isinstance(changes, dict)):
            return patch
        names = [part["name"].value for part in (before, changes) if "name" in part]
        if key in COMPONENTS and names[1:] and names[0] != names[1]:
            return patch
        content = dict(before)
        for name, part in changes.items():
            content[name] = content[name].merged(part, name) if name in content else part
        return Located(content, self.mark)

    def error(self, path: KeyPath, message: str) -> SpecError:
        """Return the error for a wrong part, with the place where it was written."""
        return SpecError(message, where=self.where(path), key=dotted(path))

    @contextmanager
    def locating_errors(self, addition: str = "") -> Iterator[None]:
        """Turn a `KeyProblem` with this data into a `SpecError` that says where the key is."""
        try:
            yield
        except KeyProblem as problem:
            raise self.error(problem.path, problem.message + addition) from problem


def nested(keys: Sequence[str], value: Located) -> Located:
    """Return `{a: {b: value}}` for the keys `a, b`."""
    for key in reversed(keys):
        value = Located({key: value}, value.mark)
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
    """Return the value of a YAML string; the error for one that is not YAML says `where` it is."""
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
    """Read a file that is one YAML mapping, with marks `file:line`; refuse duplicate keys."""
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
        document = _construct(loader, node, path, ()) if node else Located({})
    except yaml.YAMLError as error:
        where, problem = str(path), str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
            where += f":{error.problem_mark.line + 1}"
            problem = " ".join(part for part in (error.context, error.problem) if part)
        raise SpecError(f"is not valid YAML: {problem}", where=where) from error
    finally:
        loader.dispose()
    if not isinstance(document.content, dict):
        raise SpecError("expected a mapping (key: value)", where=f"{path}:1")
    return replace(document, mark=f"{path}:1")


def _construct(loader: Loader, node: yaml.Node, file: Path, path: KeyPath) -> Located:
    """Return a node of a YAML file; the mark of a value is the line of its key."""
    content: Any
    if isinstance(node, yaml.MappingNode):
        content = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node)
            mark = f"{file}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                key = json.dumps(key) if isinstance(key, int | float | bool) else str(key)
            if key in content:
                raise SpecError("duplicate key", where=mark, key=dotted((*path, key)))
            content[key] = replace(_construct(loader, value_node, file, (*path, key)), mark=mark)
    elif isinstance(node, yaml.SequenceNode):
        content = [_construct(loader, n, file, (*path, i)) for i, n in enumerate(node.value)]
    else:
        content = loader.construct_object(node)
    return Located(content, f"{file}:{node.start_mark.line + 1}")
