"""Validation of plain data against a schema, with complaints rewritten for people."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.errors import BenchError, unknown

Path = tuple[str | int, ...]


class KeyProblem(BenchError):
    """Something is wrong at one path of a configuration; the caller knows where that stands."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{'.'.join(map(str, path))}: {message}")


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
        if inner is None and options:  # the tag of a union
            continue
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
