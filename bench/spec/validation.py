"""Validation of plain data against a schema, with pydantic's messages rewritten in plain words."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.errors import BenchError, describe_unknown
from bench.registry import RENAMED

KeyPath = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


class KeyProblem(BenchError):
    """A wrong key; whoever read the configuration knows where its path was written."""

    def __init__(self, path: KeyPath, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{dotted(path)}: {message}")


def dotted(path: KeyPath) -> str:
    """Return a path as people write it, for example `base.model`."""
    return ".".join(map(str, path))


def validate(schema: Any, value: Any, path: KeyPath) -> Any:
    """Return plain data as an object of a schema, or raise a `KeyProblem` below `path`."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise KeyProblem(path, f"not plain data: {error}") from error
    adapter = TypeAdapter(schema)
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        # A misspelled key is both unknown and missing; that it is unknown tells more.
        first = min(error.errors(include_url=False), key=lambda e: e["type"] == "missing")
        known = _keys_beside(adapter, first["loc"])
        # Tags of discriminated unions are in pydantic's path, but not in the user's file.
        location = _path_in(value, first["loc"])
        raise KeyProblem((*path, *location), _sentence(dict(first), known)) from error


def describe_unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key: its new name if it was renamed, or the nearest."""
    known = list(known)
    if (new := RENAMED.get(key)) in known:
        return f"is called {new!r} now"
    return describe_unknown("key", key, known)


def _keys_beside(adapter: TypeAdapter[Any], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the schema allows where pydantic reports an error."""
    schema = adapter.json_schema(mode="validation")

    def alternatives(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return alternatives(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
        options = node.get("oneOf") or node.get("anyOf")
        return [n for option in options for n in alternatives(option)] if options else [node]

    nodes = alternatives(schema)
    for part in location[:-1]:
        tagged = [n for n in nodes if n.get("properties", {}).get("name", {}).get("const") == part]
        elsewhere = "items" if isinstance(part, int) else "additionalProperties"
        inner = (n.get("properties", {}).get(part) or n.get(elsewhere) for n in nodes)
        below = [n for node in inner if isinstance(node, dict) for n in alternatives(node)]
        nodes = tagged or below or nodes  # the last: other tags of a union lead nowhere
    return [key for node in nodes for key in node.get("properties", {})]


def _path_in(value: Any, location: tuple[int | str, ...]) -> KeyPath:
    """Return pydantic's path without the parts that are not keys of the data."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if isinstance(value, dict) and (part in value or is_last):
            path.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "dict_type": "a mapping (key: value)",
    "list_type": "a list",
    "tuple_type": "a list",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}


def _sentence(error: dict[str, Any], known: list[str]) -> str:
    """Return an error of pydantic in plain words."""
    kind, given, context = error["type"], error.get("input"), error.get("ctx") or {}
    shown = json.dumps(given) if isinstance(given, str | int | float | bool) else repr(given)
    if given is None:
        shown = "nothing"
    if kind == "extra_forbidden":
        return describe_unknown_key(str(error["loc"][-1]), known)
    if kind == "missing":
        return f"is required; known keys: {', '.join(sorted(known))}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {shown}"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = context.get("expected") or context.get("expected_tags")
        return f"expected one of {allowed}, got {shown}"
    for name, symbol in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if name in context:
            return f"must be {symbol} {context[name]}, got {shown}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}, got {shown}"
