"""What a person sets once for all sweeps on a machine: `~/.config/bench/config.yaml`.

Nothing in it changes a figure; that is what sweep files are for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from bench.errors import BenchError, SpecError
from bench.spec.components import complete_component
from bench.spec.located_yaml import Located, parse_value, read_yaml
from bench.spec.run_settings import Component, Strict
from bench.spec.switches import SwitchSet, parse_speed
from bench.spec.validation import KeyProblem, check

SUPPLIED = 2  # arguments of an executor that are no options: jobs, worker


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
    """Return where the file stands: in `$XDG_CONFIG_HOME`, by default `~/.config`."""
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root) / "bench" / "config.yaml"


def choose_executor(text: str | None, jobs: int | None) -> tuple[dict[str, Any], int | None]:
    """Return which executor to use, and how many jobs at a time.

    The command line goes before the file, and `local` is used for several jobs where neither
    names an executor.

    Args:
        text: What follows `--executor`: a name, or name and options in YAML.
        jobs: What follows `--jobs`.

    Returns:
        The executor as a complete component, and the number of jobs, if any was given.

    Raises:
        SpecError: If something there is wrong; names the file, the line and the key.
    """
    document = _document("executor", text)
    with _telling_where(document):
        found = _preferences(document)
        jobs = jobs or found.jobs
        chosen = found.executor or {"name": "local" if (jobs or 1) > 1 else "inline"}
        return complete_component("executor", chosen, ("executor",), skip=SUPPLIED), jobs


def allows_code_change(given: bool | None) -> bool:
    """Return whether results are used whose code has changed since.

    Args:
        given: What the command line says; the file is asked where None.

    Returns:
        The answer.

    Raises:
        SpecError: If something in the file is wrong; names the file, the line and the key.
    """
    if given is not None:
        return given
    document = _document()
    with _telling_where(document):
        return _preferences(document).allow_code_change


def choose_speed(text: str | None) -> SwitchSet | None:
    """Return the switches that trainings are to be executed with.

    The command line goes before the file.

    Args:
        text: What follows `--speed`: `auto`, `eager`, or names of switches with commas in between.

    Returns:
        The switches; None leaves the choice to the harness.

    Raises:
        SpecError: If something there is wrong; names the file, the line and the key.
    """
    document = _document("speed", text)
    with _telling_where(document):
        try:
            return parse_speed(_preferences(document).speed)
        except KeyProblem:
            raise
        except BenchError as error:
            raise KeyProblem(("speed",), str(error)) from error


def _document(key: str = "", text: str | None = None) -> Located:
    """Return what the file says; one of its keys may be replaced on the command line."""
    path = preferences_path()
    document = read_yaml(path) if path.is_file() else Located({}, {})
    if text is None:
        return document
    where = f"command line, --{key} {text}"
    given = Located({key: parse_value(text, where)}, {(key,): where})
    kept = {name: value for name, value in document.value.items() if name != key}
    return Located(kept, document.marks).merged(given)


def _preferences(document: Located) -> Preferences:
    found: Preferences = check(TypeAdapter(Preferences), document.value, ())
    return found


@contextmanager
def _telling_where(document: Located) -> Iterator[None]:
    """Turn what is wrong with a key into an error that names file and line."""
    try:
        yield
    except KeyProblem as problem:
        key = ".".join(map(str, problem.path))
        raise SpecError(problem.message, where=document.where(problem.path), key=key) from problem
