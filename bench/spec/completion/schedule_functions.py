"""Schedules that are functions of the user's own package: found by name, checked, called."""

import functools
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from bench.errors import BenchError, describe_error, describe_unknown, first_line, shortened
from bench.spec.components import schema_of_parameters
from bench.spec.places import place_in
from bench.spec.run_settings import FunctionSchedule, Schedule
from bench.spec.validation import KeyPath, KeyProblem, validate

SUPPLIED = ("iterations", "epoch")
"""Arguments, beside the step, that are no options."""


def check_schedule(schedule: Schedule, iterations: int, path: KeyPath) -> Schedule:
    """Return a schedule with all options of its function, which is tried; others as they are."""
    if not isinstance(schedule, FunctionSchedule):
        return schedule
    try:
        options = _options_schema(schedule.function)
    except BenchError as error:
        raise KeyProblem((*path, "function"), str(error)) from error
    checked: BaseModel = validate(options, schedule.options, (*path, "options"))
    schedule = schedule.model_copy(update={"options": checked.model_dump(mode="json")})
    for step in sorted({iterations * part // 8 for part in range(8)} | {iterations - 1}):
        for epoch in (1, iterations):  # the data are not loaded yet
            try:
                factors = {
                    call_schedule(schedule, step, iterations=iterations, epoch=epoch)
                    for _ in range(2)
                }
            except BenchError as error:
                raise KeyProblem((*path, "function"), str(error)) from error
            if len(factors) > 1:
                problem = "must depend only on its arguments: for the same ones it returned"
                named = " and ".join(map(str, factors))
                raise KeyProblem((*path, "function"), f"{schedule.function} {problem} {named}")
    return schedule


def call_schedule(schedule: FunctionSchedule, step: int, *, iterations: int, epoch: int) -> float:
    """Return what the function of a schedule returns; a `BenchError` if that is no factor."""
    function = _function(schedule.function)
    where = f"at iteration {step} of {iterations}, with epochs of {epoch}"
    try:
        value = function(step, iterations=iterations, epoch=epoch, **schedule.options)
    except Exception as error:  # whatever the code of another package raises
        place = place_in(error)
        raised = f"raised {describe_error(error)}" + (f" ({place})" if place else "")
        raise BenchError(f"{schedule.function} {raised} {where}") from error
    try:
        factor = float(value)
    except (TypeError, ValueError):
        factor = math.nan
    if not 0 <= factor < math.inf:
        returned = shortened(repr(value))
        raise BenchError(
            f"{schedule.function} returned {returned} {where}; a finite number >= 0 is expected"
        )
    return factor


def schedule_functions(settings: Any) -> Iterator[str]:
    """Yield the functions of all schedules within settings that are plain data."""
    if isinstance(settings, Mapping):
        if settings.get("name") == "function" and isinstance(settings.get("function"), str):
            yield settings["function"]
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from schedule_functions(value)


@functools.cache
def _function(target: str) -> Callable[..., Any]:
    """Import and return the function `package.module:name`."""
    module_name, _, name = target.partition(":")
    if not (name and module_name):
        raise BenchError(f"expected the form my_package.rates:one_cycle, got {target!r}")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the code of another package raises
        raise BenchError(f"{module_name} cannot be imported: {describe_error(error)}") from error
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None:
        own = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise BenchError(f"{module_name}: {describe_unknown('function', name, own)}")
    if not callable(function):
        raise BenchError(f"{target} is {type(function).__name__}, not a function")
    return function


@functools.cache
def _options_schema(target: str) -> type[BaseModel]:
    """Return the schema of a function's options: its parameters after the supplied ones."""
    try:
        signature = inspect.signature(_function(target), eval_str=True)
        supplied = signature.bind_partial(0, **dict.fromkeys(SUPPLIED)).arguments
    except (TypeError, ValueError, NameError) as error:
        call = f"{target.partition(':')[2]}(step, iterations=..., epoch=..., **options)"
        raise BenchError(f"{target} cannot be called as {call}: {first_line(error)}") from error
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    options = [
        p for p in signature.parameters.values() if p.kind in by_name and p.name not in supplied
    ]
    hints = {p.name: Any if p.annotation is p.empty else p.annotation for p in options}
    return schema_of_parameters(options, hints, target)
