"""A component: the name of something registered and its options, completed once, then built."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from bench import registry
from bench.errors import UnknownName
from bench.spec.validation import KeyProblem, Path, check


def construct(kind: registry.Kind, component: Mapping[str, Any], *leading: object) -> Any:
    """Return the object that a complete component describes.

    Args:
        kind: Which table it is in.
        component: Its name and options.
        *leading: Arguments that the harness supplies.

    Returns:
        The object.
    """
    options = {key: value for key, value in component.items() if key != "name"}
    factory = registry.load(kind, component["name"])
    schema = registry.options_schema(factory, len(leading))
    checked = schema.model_validate_json(json.dumps(options))
    return factory(*leading, **{name: getattr(checked, name) for name in schema.model_fields})


def complete_component(
    kind: registry.Kind, given: Mapping[str, Any], path: Path, skip: int = 0
) -> dict[str, Any]:
    """Return a component with all options of its constructor filled in.

    Args:
        kind: Which table it is in.
        given: Its name, and some options.
        path: Where that stands in the settings.
        skip: Leading arguments that the harness supplies.

    Returns:
        The complete component.

    Raises:
        KeyProblem: If there is no such name or option.
    """
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
