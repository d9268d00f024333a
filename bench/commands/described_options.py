"""The options of a component for people: defaults, choices, and what docstrings say of them."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bench import registry

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bench.output import ListedOption

SECTIONS = ("Args:", "Attributes:")
ENTRY = re.compile(r" {4}(\w+): (.*)")


def describe_options(kind: registry.Kind, name: str) -> list["ListedOption"]:
    """Return the options of a registered name; a `BenchError` if it cannot be used."""
    from bench.spec.components import SUPPLIED, options_schema, sampling_schema

    factory: Any = registry.load(kind, name)
    texts: dict[str, str] = {}
    for base in reversed(factory.__mro__):
        texts |= {**_described(base), **_described(vars(base).get("__init__"))}
    options = list(_options(options_schema(factory, SUPPLIED.get(kind, 0)), texts))
    if kind == "model":
        of_sample = _described(factory.sample)
        options += _options(sampling_schema(factory), of_sample, of_sampling=True)
    return options


def _options(
    schema: "type[BaseModel]", texts: dict[str, str], *, of_sampling: bool = False
) -> Iterator["ListedOption"]:
    from bench.output import ListedOption

    properties = schema.model_json_schema().get("properties", {})
    for name, field in schema.model_fields.items():
        is_required = field.is_required()
        yield ListedOption(
            name=name,
            text=texts.get(name, ""),
            default=None if is_required else field.get_default(call_default_factory=True),
            choices=_choices(properties[name]),
            is_required=is_required,
            of_sampling=of_sampling,
        )


def _choices(schema: dict[str, Any]) -> list[Any]:
    """Return what an option is restricted to; nothing where other values are allowed, too."""
    parts = schema.get("anyOf", [schema])
    choices: list[Any] = []
    for part in parts:
        if part.get("type") == "null":
            choices.append(None)
        elif "enum" in part or "const" in part:
            choices += part.get("enum", [part.get("const")])
        else:
            return []
    return choices


def _described(documented: type | Callable[..., Any] | None) -> dict[str, str]:
    """Return what a docstring says of each argument or attribute, in one line each."""
    texts: dict[str, str] = {}
    name = None
    for line in inspect.cleandoc(getattr(documented, "__doc__", None) or "").splitlines():
        if line in SECTIONS:
            name = ""
        elif line and not line.startswith(" "):
            name = None
        elif name is not None and (entry := ENTRY.fullmatch(line)):
            name, texts[entry[1]] = entry[1], entry[2]
        elif name and line:
            texts[name] += f" {line.strip()}"
    return texts
