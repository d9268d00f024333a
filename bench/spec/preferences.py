"""A person's defaults for all sweeps on a machine, none of which is part of an id."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from bench.errors import BenchError
from bench.spec.components import complete_component
from bench.spec.located import Located
from bench.spec.located_yaml import parse_value, read_yaml
from bench.spec.run_settings import Component, Strict, at_most
from bench.spec.switches import SwitchSet, parse_speed
from bench.spec.validation import KeyProblem, KeyProblems, validate

MOST_JOBS = 1024
NONE = "none"
DEFAULT_TRACKERS = ({"name": "mlflow"},)


def as_list(value: Any) -> Any:
    """Expand the shorthands of a list: one item alone, and `none` for an empty list."""
    value = value if isinstance(value, list) else [value]
    return [] if value == [NONE] else value


class Preferences(Strict):
    """The keys of `~/.config/bench/config.yaml`, which are also options of the command line."""

    executor: Component | None = None
    """The executor: a name, or name and options."""
    jobs: Annotated[int, Field(ge=1), at_most(MOST_JOBS, "each takes memory of its own")] | None = (
        None
    )
    """Runs at a time."""
    allow_code_change: bool = False
    """Whether results are used whose code has changed since."""
    tracker: Annotated[list[Component], BeforeValidator(as_list)] | None = None
    """Where results are mirrored: a tracker, several, or `none`."""
    speed: str = "auto"
    """Switches of trainings: `auto`, `eager`, or names with commas."""

    @property
    def switches(self) -> SwitchSet | None:
        """The switches of `speed`; None lets bench choose."""
        try:
            return parse_speed(self.speed)
        except BenchError as error:
            raise KeyProblem(("speed",), str(error)) from error


def preferences_path() -> Path:
    """Return the path of the file: in `$XDG_CONFIG_HOME`, by default `~/.config`."""
    root = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # never raises
    return Path(root) / "bench" / "config.yaml"


def load_preferences(**given: Any) -> Preferences:
    """Return what the file says, or the command line where an option is given and not None.

    The executor is complete; where none is named, several jobs are done by `local`.
    """
    document = _read_document(given)
    with document.locating_errors():
        preferences: Preferences = validate(Preferences, document.value, ())
        problems = KeyProblems()
        several = (preferences.jobs or 1) > 1
        executor = preferences.executor or {"name": "local" if several else "inline"}
        with problems.collecting():
            executor = complete_component("executor", executor, ("executor",))
        with problems.collecting():
            _ = preferences.switches
        problems.refuse()
    return preferences.model_copy(update={"executor": executor})


def load_trackers(given: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the trackers that the command line names, else the file, else MLflow.

    Names and options are checked, and left as they were given.
    """
    document = _read_document({"tracker": given or None})
    with document.locating_errors():
        chosen = validate(Preferences, document.value, ()).tracker
        trackers = DEFAULT_TRACKERS if chosen is None else chosen
        for number, tracker in enumerate(trackers):
            complete_component("tracker", tracker, ("tracker", number))
    return [dict(tracker) for tracker in trackers]


def _read_document(given: Mapping[str, Any]) -> Located:
    """Return the content of the file, with what the command line gives in its place."""
    path = preferences_path()
    document = read_yaml(path, "file of preferences") if os.path.exists(path) else Located({})
    for key, value in given.items():
        if value is None:
            continue
        parts = [
            Located.of(parse_value(part, where) if isinstance(part, str) else part, where)
            for part in (value if isinstance(value, tuple) else (value,))
            for where in [f"command line, --{key} {part}"]
        ]
        part = Located(parts, parts[0].mark) if isinstance(value, tuple) else parts[0]
        document = Located({**document.content, key: part}, document.mark)
    return document
