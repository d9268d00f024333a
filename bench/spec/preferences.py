"""A person's defaults for all sweeps on a machine: `~/.config/bench/config.yaml`.

Nothing in it changes a measurement; that is what sweep files are for. What is wrong in it is a
`SpecError` that names the file, the line and the key.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from bench.errors import BenchError, SpecError
from bench.spec.components import complete_component
from bench.spec.located_yaml import Located, parse_value, read_yaml
from bench.spec.run_settings import Component, Strict
from bench.spec.switches import SwitchSet, parse_speed
from bench.spec.validation import KeyProblem, dotted, validate


class Preferences(Strict):
    """The keys of that file.

    Attributes:
        executor: Where runs are done: a name, or name and options.
        jobs: Runs at a time.
        allow_code_change: Whether results are used whose code has changed since.
        speed: How trainings are executed: `auto`, `eager`, or names of switches with commas.
    """

    executor: Component | None = None
    jobs: Annotated[int, Field(ge=1)] | None = None
    allow_code_change: bool = False
    speed: str = "auto"


def preferences_path() -> Path:
    """Return the path of the file: in `$XDG_CONFIG_HOME`, by default `~/.config`."""
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root) / "bench" / "config.yaml"


def choose_executor(text: str | None, jobs: int | None) -> tuple[dict[str, Any], int | None]:
    """Return the executor as a complete component, and the number of jobs, if any was given.

    The values of `--executor` and `--jobs` override the file. Where neither names an executor,
    several jobs are done by `local`.
    """
    with _preferences("executor", text) as preferences:
        jobs = jobs or preferences.jobs
        executor = preferences.executor or {"name": "local" if (jobs or 1) > 1 else "inline"}
        return complete_component("executor", executor, ("executor",)), jobs


def allows_code_change(given: bool | None) -> bool:
    """Return whether results are used whose code has changed since, as given or as in the file."""
    if given is not None:
        return given
    with _preferences() as preferences:
        return preferences.allow_code_change


def choose_speed(text: str | None) -> SwitchSet | None:
    """Return the switches for trainings, from `--speed` or the file; None lets bench choose."""
    with _preferences("speed", text) as preferences:
        try:
            return parse_speed(preferences.speed)
        except BenchError as error:
            raise KeyProblem(("speed",), str(error)) from error


@contextmanager
def _preferences(key: str = "", text: str | None = None) -> Iterator[Preferences]:
    """Read the file, one key overridden by the command line; problems name file and line."""
    path = preferences_path()
    document = read_yaml(path) if path.is_file() else Located({}, {})
    if text is not None:
        where = f"command line, --{key} {text}"
        others = {name: value for name, value in document.value.items() if name != key}
        given = Located({key: parse_value(text, where)}, {(key,): where})
        document = Located(others, document.marks).merged(given)
    try:
        yield validate(Preferences, document.value, ())
    except KeyProblem as problem:
        where = document.where(problem.path)
        raise SpecError(problem.message, where=where, key=dotted(problem.path)) from problem
