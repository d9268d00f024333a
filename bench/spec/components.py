"""Components: a registered name and its options, completed once and built from then on."""

import functools
import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.errors import PydanticSchemaGenerationError

from bench import registry
from bench.errors import BenchError, describe_error, first_line, shortened, value_text
from bench.spec.option_files import FILE_HASHES, hash_files, unchanged_files
from bench.spec.places import place_of
from bench.spec.validation import KeyPath, KeyProblem, validate, without_later

SUPPLIED: Mapping[registry.Kind, int] = {"model": 1, "executor": 2}
"""Number of leading arguments that the harness supplies: the shape of the data; the
number of jobs and the worker. All others are options."""

WITH_FILES: tuple[registry.Kind, ...] = ("model", "metric")
"""Kinds whose files are part of the configuration; the files of data have fingerprints."""


class OptionsProblem(BenchError):
    """A mistake in the signature of a component, and where it is."""

    def __init__(self, problem: str, place: str) -> None:
        self.problem = problem
        self.place = place
        super().__init__(f"{problem} ({place})" if place else problem)


def construct(kind: registry.Kind, component: Mapping[str, Any], *supplied: object) -> Any:
    """Return the object that a complete component describes."""
    options = {k: v for k, v in component.items() if k not in ("name", FILE_HASHES)}
    factory = registry.load(kind, component["name"])
    schema = options_schema(factory, len(supplied))  # type: ignore[arg-type]
    checked = schema.model_validate_json(json.dumps(options))
    files = unchanged_files(component["name"], checked, component.get(FILE_HASHES, {}))
    built = factory(*supplied, **dict(checked))
    if files and kind == "metric":
        object.__setattr__(built, "file_hashes", files)  # metrics may be frozen
    return built


def complete_component(
    kind: registry.Kind, given: Mapping[str, Any], path: KeyPath
) -> dict[str, Any]:
    """Return a component with all options; a `KeyProblem` below `path` names a wrong one."""
    if not isinstance(given.get("name"), str):
        known = ", ".join(registry.registered(kind))
        has_name, got = "name" in given, value_text(given.get("name"))
        problem = f"expected one of {known}; got {got}" if has_name else f"is required: {known}"
        raise KeyProblem((*path, "name"), problem)
    try:
        factory = registry.load(kind, given["name"])
        schema = options_schema(factory, SUPPLIED.get(kind, 0))  # type: ignore[arg-type]
    except BenchError as error:
        raise KeyProblem((*path, "name"), str(error)) from error
    options = {k: v for k, v in given.items() if k not in ("name", FILE_HASHES)}
    checked: BaseModel = validate(schema, options, path)
    complete = {"name": given["name"], **checked.model_dump(mode="json")}
    complete = without_later(complete, schema, getattr(factory, "later_options", ()))
    if kind in WITH_FILES:
        try:
            files = given.get(FILE_HASHES) or hash_files(checked)
        except KeyProblem as problem:
            raise KeyProblem((*path, *problem.path), problem.message) from problem
        complete |= {FILE_HASHES: files} if files else {}
    return complete


@contextmanager
def errors_at(path: KeyPath, what: str = "") -> Iterator[None]:
    """Turn whatever the code of a component raises at its options into a `KeyProblem` at `path`."""
    try:
        yield
    except KeyProblem:
        raise
    except Exception as error:
        if isinstance(error, OSError):
            reason = f"{error.strerror}: {error.filename}"
        elif isinstance(error, BenchError | ValueError):
            reason = first_line(error)
        else:
            reason = describe_error(error)
        raise KeyProblem(path, f"{what}{shortened(reason, 1000)}") from error


@functools.cache
def options_schema(factory: type[Any], supplied: int = 0) -> type[BaseModel]:
    """Return the schema of a class's options: its constructor's parameters after `supplied`."""
    title, place = f"{factory.__module__}.{factory.__qualname__}", place_of(factory)
    try:
        hints = typing.get_type_hints(factory.__init__, include_extras=True)
    except Exception as error:  # a name that is not there
        raise OptionsProblem(
            f"{title}: an annotation fails, {describe_error(error)}", place
        ) from error
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(factory).parameters.values())[supplied:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise OptionsProblem(
                f"{title} takes *args or **kwargs; options must be named parameters, since the "
                "signature is their schema",
                place,
            )
        if parameter.name not in hints:
            raise OptionsProblem(
                f"{title}: option {parameter.name!r} needs a type annotation, since the signature "
                "is the schema",
                place,
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    try:
        return create_model(factory.__qualname__, __config__=config, **fields)
    except PydanticSchemaGenerationError as error:
        raise OptionsProblem(
            f"{title}: {first_line(error)}; options have types that YAML can hold", place
        ) from error
