"""Components: a registered name and its options, completed once and built from then on."""

import functools
import inspect
import json
import os
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.errors import PydanticSchemaGenerationError

from bench import registry
from bench.errors import BenchError, describe_error, first_line, shortened, value_text
from bench.spec.located import Located
from bench.spec.located_yaml import parse_component
from bench.spec.option_files import FILE_HASHES, hash_files, unchanged_files
from bench.spec.places import place_of
from bench.spec.validation import KeyPath, KeyProblem, validate, without_later

SUPPLIED: Mapping[registry.Kind, int] = {"model": 1, "executor": 2, "tracker": 1}
"""Number of leading arguments that the harness supplies: the shape of the data; the number of jobs
and the worker; the folder of all results. All others are options."""

SUPPLIED_TO_SAMPLE = 2
"""Number of leading arguments of a model's `sample`: labels and generator."""

IN_MODEL = "is a sampling option: write it next to the model, sampling: {{NAME: {{{0}: {1}}}}}"
IN_SAMPLING = "is an option of the model, not of sampling: write it below model, {0}: {1}"

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
    factory = registry.load(kind, component["name"])
    options = _own_options(factory, component, ())
    schema = options_schema(factory, len(supplied))  # type: ignore[arg-type]
    checked = schema.model_validate_json(json.dumps(options))
    files = unchanged_files(component["name"], checked, component.get(FILE_HASHES, {}))
    built = factory(*supplied, **dict(checked))
    if files and kind == "metric":
        object.__setattr__(built, "file_hashes", files)  # metrics may be frozen
    return built


def read_component(kind: registry.Kind, option: str, text: str) -> dict[str, Any]:
    """Return the complete component that a text of the command line means."""
    where = f"command line, {option} {text}"
    hint = ""
    if kind == "dataset" and os.path.exists(text):
        as_data = "npz" if Path(text).is_file() else "folder"
        hint = f"; images at a path are {option} '{{name: {as_data}, path: {text}}}'"
    with Located({}, where).locating_errors(hint):
        return complete_component(kind, parse_component(text, where), ())


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
        of_sampling = sampling_schema(factory) if kind == "model" else None  # type: ignore[arg-type]
    except BenchError as error:
        raise KeyProblem((*path, "name"), str(error)) from error
    options = _own_options(factory, given, path)
    if of_sampling:
        _refuse_misplaced(options, schema, of_sampling, path, IN_MODEL)
    checked: BaseModel = validate(schema, options, path)
    complete = {"name": given["name"], **checked.model_dump(mode="json")}
    complete |= getattr(factory, "moved_options", {})
    later = {o for c in factory.__mro__ for o in vars(c).get("later_options", ())}
    complete = without_later(complete, schema, later)
    if kind in WITH_FILES:
        try:
            files = given.get(FILE_HASHES) or hash_files(checked)
        except KeyProblem as problem:
            raise KeyProblem((*path, *problem.path), problem.message) from problem
        complete |= {FILE_HASHES: files} if files else {}
    return complete


def complete_sampling(
    model: Mapping[str, Any], given: Mapping[str, Any], path: KeyPath = ()
) -> dict[str, Any]:
    """Return sampling options with all defaults, `given` ones checked at `path`."""
    factory = registry.load("model", model["name"])
    schema = sampling_schema(factory)  # type: ignore[arg-type]
    built = options_schema(factory, SUPPLIED["model"])  # type: ignore[arg-type]
    _refuse_misplaced(given, schema, built, path, IN_SAMPLING)
    if given and not schema.model_fields:
        raise KeyProblem(path, f"{model['name']} has no sampling options")
    checked: BaseModel = validate(schema, given, path)
    return checked.model_dump(mode="json")


def sampling_arguments(factory: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return recorded sampling options as arguments of `sample`; a `BenchError` if they fit not.

    Missing ones have their defaults.
    """
    schema = sampling_schema(factory)  # type: ignore[arg-type]
    try:
        return dict(schema.model_validate_json(json.dumps(options)))
    except ValueError as error:
        text = f"{factory.__name__} cannot sample with the options {dict(options)}"
        raise BenchError(f"{text}: {first_line(error)}") from error


def _own_options(factory: type[Any], component: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
    """Return the options of a component, without those that have moved and have their default."""
    moved = getattr(factory, "moved_options", {})
    options = {k: v for k, v in component.items() if k not in ("name", FILE_HASHES)}
    return {k: v for k, v in options.items() if k not in moved or v != moved[k]}


def _refuse_misplaced(
    given: Mapping[str, Any],
    schema: type[BaseModel],
    other: type[BaseModel],
    path: KeyPath,
    text: str,
) -> None:
    """Raise a `KeyProblem` for options that the `other` schema has and this one has not."""
    keys = [key for key in given if key in other.model_fields and key not in schema.model_fields]
    values = {key: shortened(json.dumps(given[key]), 50) for key in keys}
    problems = [KeyProblem((*path, key), text.format(key, values[key])) for key in keys]
    if problems:
        raise KeyProblem.all_of(problems)


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
    parameters = list(inspect.signature(factory).parameters.values())[supplied:]
    return _schema(factory, "__init__", parameters)


@functools.cache
def sampling_schema(factory: type[Any]) -> type[BaseModel]:
    """Return the schema of a model's sampling options: parameters of `sample` by name alone."""
    _, *parameters = inspect.signature(factory.sample).parameters.values()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    supplied = [p for p in parameters if p.kind in by_place][:SUPPLIED_TO_SAMPLE]
    options = [parameter for parameter in parameters if parameter not in supplied]
    for parameter in options:
        problem = ""
        if parameter.kind in by_place:
            problem = "must be named in a call; write * before the options"
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            problem = "needs a default, which samples are drawn with unless a sweep says otherwise"
        if problem:
            title, place = _title(factory, "sample"), place_of(factory, "sample")
            raise OptionsProblem(f"{title}: option {parameter.name!r} {problem}", place)
    return _schema(factory, "sample", options)


def _title(factory: type[Any], method: str) -> str:
    name = f"{factory.__module__}.{factory.__qualname__}"
    return name if method == "__init__" else f"{name}.{method}"


def _schema(
    factory: type[Any], method: str, parameters: Sequence[inspect.Parameter]
) -> type[BaseModel]:
    """Return the schema of some parameters of a method."""
    title, place = _title(factory, method), place_of(factory, method)
    try:
        hints = (
            typing.get_type_hints(getattr(factory, method), include_extras=True)
            if parameters
            else {}
        )
    except Exception as error:  # a name that is not there
        raise OptionsProblem(
            f"{title}: an annotation fails, {describe_error(error)}", place
        ) from error
    for parameter in parameters:
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
    return schema_of_parameters(parameters, hints, title, place)


def schema_of_parameters(
    parameters: Iterable[inspect.Parameter], hints: Mapping[str, Any], title: str, place: str = ""
) -> type[BaseModel]:
    """Return the schema of options that are parameters; they are required without a default."""
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in parameters
    }
    config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    try:
        return create_model(title, __config__=config, **fields)
    except PydanticSchemaGenerationError as error:
        raise OptionsProblem(
            f"{title}: {first_line(error)}; options have types that YAML can hold", place
        ) from error


def data_text(component: Mapping[str, Any]) -> str:
    """Return what a data set is called in messages: its registered name, and its path if any."""
    return " ".join(str(component[key]) for key in ("name", "path") if key in component)
