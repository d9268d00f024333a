"""Names of models, data sets, metrics, controls, executors and trackers, and their classes.

`registry.toml` maps names to import paths, so that listing names imports nothing. Another package
adds names with entry points in its own `pyproject.toml`, in the group `bench.models`,
`bench.datasets`, `bench.metrics`, `bench.controls`, `bench.executors` or `bench.trackers`:

    [project.entry-points."bench.models"]
    my_model = "my_package.my_model:MyModel"
"""

import functools
import importlib
import inspect
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from bench.errors import BenchError, UnknownName, describe_error, describe_unknown

Kind = Literal["model", "dataset", "metric", "control", "executor", "tracker"]

BASES: Mapping[Kind, str] = {
    "model": "bench.training.interface:ConditionalGenerator",
    "dataset": "bench.data.base:Source",
    "metric": "bench.metrics.base:Metric",
    "control": "bench.evaluation.controls:Control",
    "executor": "bench.execution.executors.base:Executor",
    "tracker": "bench.trackers.base:Tracker",
}
"""The base class of each kind."""


@dataclass(frozen=True)
class Registration:
    """The meaning of a name: an import path, `module:attribute`, and one line to display.

    A `problem` says why the name cannot be used; all others can.
    """

    target: str
    summary: str
    problem: str = ""


CAPABILITIES = ("semi-supervised", "attributes")
"""What `capabilities` of a model can name."""

_FILE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

BUILT_IN: Mapping[Kind, Mapping[str, Registration]] = {
    kind: {name: Registration(*registration) for name, registration in _FILE[kind].items()}
    for kind in get_args(Kind)
}


@functools.cache
def registered(kind: Kind) -> dict[str, Registration]:
    """Return the names of one kind: built-in ones first, then those of other packages."""
    table, group = dict(BUILT_IN[kind]), f"{kind}s"
    for point in entry_points(group=f"bench.{group}"):
        registration = Registration(point.value, f"from {_package(point)}")
        if known := table.get(point.name):
            problem = (
                f"{_package(point)} registers the {kind} {point.name!r} as {point.value}, but that "
                f"name belongs to {known.target}; rename one of them"
            )
            registration = replace(known, problem=problem)
        table[point.name] = registration
    return table


def load(kind: Kind, name: str) -> type[Any]:
    """Import and return the class behind a name; an `UnknownName` suggests a near one."""
    table = registered(kind)
    if name not in table:
        hint = " (a package that adds names must be installed first)"
        raise UnknownName(kind, name, table, hint)
    if table[name].problem:
        raise BenchError(table[name].problem)
    target = table[name].target
    module, _, attribute = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the code of another package raises
        tells = isinstance(error, ImportError | AttributeError)
        reason = str(error) if tells else f"{type(error).__name__}: {error}"
        raise BenchError(
            f"the {kind} {name!r} is registered as {target}, which cannot be imported: {reason}"
        ) from error
    module, _, attribute = BASES[kind].partition(":")
    base = getattr(importlib.import_module(module), attribute)
    if not (inspect.isclass(factory) and issubclass(factory, base)):
        raise BenchError(
            f"the {kind} {name!r} is registered as {target}, which is not a subclass of "
            f"{module}.{attribute}; derive it from that class"
        )
    declared = getattr(factory, "name", None)
    if kind == "metric" and declared != name:  # tables look its quantities up by either
        raise BenchError(
            f"the metric {name!r} is registered as {target}, whose attribute `name` is "
            f"{declared!r}; give both the same name"
        )
    return factory


def import_extra(module: str, extra: str, user: str) -> ModuleType:
    """Import a module of an extra for a `user`; a `BenchError` says how to install it."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever the code of another package raises
        package = module.partition(".")[0]
        is_absent = isinstance(error, ModuleNotFoundError) and error.name == package
        reason = "" if is_absent else f", which cannot be imported ({describe_error(error)})"
        raise _missing_extra(package, extra, user, reason) from error


def require_extra(package: str, extra: str, user: str) -> None:
    """Raise the same `BenchError` if a package is not there; nothing is imported."""
    if find_spec(package) is None:
        raise _missing_extra(package, extra, user)


def _missing_extra(package: str, extra: str, user: str, reason: str = "") -> BenchError:
    return BenchError(f"{user} needs {package}{reason}: pip install 'bench-generators[{extra}]'")


def model_capabilities() -> dict[str, tuple[str, ...]]:
    """Return what each model that can be imported can be given besides labeled batches."""
    capabilities = {}
    for name in registered("model"):
        with suppress(BenchError):
            capabilities[name] = capabilities_of(name)
    return capabilities


def capabilities_of(model: str) -> tuple[str, ...]:
    """Return what a model declares that it can be given besides labeled batches."""
    declared = load("model", model).capabilities
    if not isinstance(declared, tuple | list) or not all(isinstance(c, str) for c in declared):
        raise BenchError(f"the capabilities of {model!r} are {declared!r}, not a tuple of names")
    if unknown := [name for name in declared if name not in CAPABILITIES]:
        raise BenchError(f"{model}: {describe_unknown('capability', unknown[0], CAPABILITIES)}")
    return tuple(declared)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "another package"
