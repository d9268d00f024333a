"""Validation of plain data against a schema, with pydantic's messages rewritten in plain words."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from bench.errors import BenchError, describe_unknown, nearest, value_text

MOST_PROBLEMS = 100  # of one configuration; messages show fewer

KeyPath = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


class KeyProblem(BenchError):
    """A wrong key; whoever read the configuration knows where its path was written.

    `parts` are the problems of one configuration: this one, or those that it was made of.
    """

    def __init__(self, path: KeyPath, message: str, parts: Sequence["KeyProblem"] = ()) -> None:
        self.path = path
        self.message = message
        self.parts = parts or (self,)
        super().__init__("\n".join(f"{dotted(p.path)}: {p.message}" for p in self.parts))

    @classmethod
    def all_of(cls, parts: Sequence["KeyProblem"]) -> "KeyProblem":
        """Return all problems of one configuration, at least one, as one."""
        return KeyProblem(parts[0].path, parts[0].message, parts)


class KeyProblems:
    """The wrong keys of one configuration, collected so that all are reported at once."""

    def __init__(self) -> None:
        self.found: list[KeyProblem] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep a `KeyProblem` instead of raising it."""
        try:
            yield
        except KeyProblem as problem:
            self.found += problem.parts

    def refuse(self) -> None:
        """Raise what was found as one `KeyProblem`."""
        if self.found:
            raise KeyProblem.all_of(self.found)


def dotted(path: KeyPath) -> str:
    """Return a path as people write it, for example `base.model`."""
    return ".".join(map(str, path))


def validate(schema: Any, value: Any, path: KeyPath) -> Any:
    """Return plain data as an object of a schema; a `KeyProblem` has all that is wrong with it."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise KeyProblem(path, f"not plain data: {error}") from error
    adapter = TypeAdapter(schema)
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        errors = error.errors(include_url=False)[:MOST_PROBLEMS]
    keys = adapter.json_schema(mode="validation")
    problems: dict[KeyPath, KeyProblem] = {}  # of each alternative of a union, the first
    for found in errors:
        known = _keys_beside(keys, found["loc"])
        # Tags of discriminated unions are in pydantic's path, but not in the user's file.
        location = (*path, *_path_in(value, found["loc"]))
        problems.setdefault(location, KeyProblem(location, _sentence(dict(found), known)))
    unknown = [e["loc"] for e in errors if e["type"] == "extra_forbidden"]
    missing = [e["loc"] for e in errors if e["type"] == "missing"]
    for loc in unknown:  # a misspelled key is also missing; that it is unknown tells more
        beside = {str(m[-1]): m for m in missing if m[:-1] == loc[:-1]}
        meant = nearest(str(loc[-1]), beside)
        if meant in beside:
            problems.pop((*path, *_path_in(value, beside[meant])), None)
    raise KeyProblem.all_of([*problems.values()])


def validate_usable(
    schema: Any, value: Mapping[str, Any], stand_ins: Mapping[str, Any]
) -> tuple[Any, Collection[str], list[KeyProblem]]:
    """Return plain data as an object of a schema, its keys that are right, and what is wrong.

    In the object, stand-ins take the place of wrong keys, so that the others can be checked.
    """
    try:
        return validate(schema, value, ()), value.keys(), []
    except KeyProblem as problem:
        problems = list(problem.parts)
    wrong = {problem.path[:1] for problem in problems}
    usable = {key: part for key, part in value.items() if (key,) not in wrong}
    return validate(schema, {**stand_ins, **usable}, ()), usable.keys(), problems


def without_later(
    plain: Mapping[str, Any], schema: type[BaseModel], later: Iterable[str]
) -> dict[str, Any]:
    """Return plain data without the later fields that have their default: ids are older than they.

    `plain` is a dump of an object of the schema.
    """
    defaults = {name: schema.model_fields[name].default for name in later}
    return {key: v for key, v in plain.items() if key not in defaults or v != defaults[key]}


def _keys_beside(schema: dict[str, Any], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a JSON schema allows where pydantic reports an error."""

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
    """Return pydantic's path without the parts that are not keys of the data.

    The tag of a union, its `name`, may be a key beside that name, too: `{name: a, a: 1, b: wrong}`
    has the path `a, b`.
    """
    path: list[str | int] = []
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        may_be_tag = isinstance(value, dict) and not is_last and part == value.get("name")
        if may_be_tag and (
            location[index + 1] in value or not isinstance(value.get(part), dict | list)
        ):
            continue
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
    kind, context, given = error["type"], error.get("ctx") or {}, value_text(error.get("input"))
    if kind == "extra_forbidden":
        return describe_unknown("key", str(error["loc"][-1]), known)
    if kind == "missing":
        return f"is required; known keys: {', '.join(sorted(known))}"
    if kind in _EXPECTED:
        is_bare = kind == "string_type" and isinstance(error.get("input"), bool | int | float)
        hint = f" (in quotes it is one: '{given}')" if is_bare else ""
        is_free = str(error["loc"][-1]) not in known  # as the rest of a name after a comma
        if kind == "string_type" and error.get("input") is None and is_free:
            hint = " (a text with a comma needs quotes)"
        return f"expected {_EXPECTED[kind]}, got {given}{hint}"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = context.get("expected") or context.get("expected_tags")
        names = {name.lower(): name for name in re.findall(r"'([^']*)'", str(allowed))}
        near = nearest(str(context.get("tag", error.get("input"))).lower(), names)
        hint = f" (did you mean {names[near]!r}?)" if near else ""
        return f"expected one of {allowed}, got {given}{hint}"
    for name, symbol in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if name in context:
            return f"must be {symbol} {context[name]}, got {given}"
    if kind == "string_pattern_mismatch":
        return f"expected the form {context['pattern']}, got {given}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}, got {given}"
