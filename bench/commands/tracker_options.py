"""The options that choose trackers, and the trackers that are made of them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from bench.errors import BenchError, describe_error, describe_system_error

if TYPE_CHECKING:
    from bench.trackers.mirrors import ChosenTracker

MLFLOW_URI = click.option(
    "--mlflow-uri",
    help="Option uri of mlflow: a server or database.  [default: $MLFLOW_TRACKING_URI]",
)
TRACKERS = (
    click.option(
        "--tracker",
        multiple=True,
        help="Where results are mirrored, a name or {name: ..., option: ...}; see `bench list "
        "trackers`; may be repeated; none for nowhere.  [default: mlflow]",
    ),
    click.option("--no-mlflow", is_flag=True, help="Leave out mlflow."),
    MLFLOW_URI,
)


class TrackerOptions(TypedDict):
    """The values of the options `TRACKERS`."""

    tracker: tuple[str, ...]
    no_mlflow: bool
    mlflow_uri: str | None


TRACKER_WORDS = tuple(TrackerOptions.__annotations__)


def words_about_trackers(values: TrackerOptions) -> list[object]:
    """Return all that decides what `make_trackers` makes, without loading a tracker."""
    from bench.spec.preferences import preferences_path

    path = preferences_path()
    preferences = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return [preferences, uri, *(values[word] for word in TRACKER_WORDS)]  # type: ignore[literal-required]


def make_trackers(values: TrackerOptions, results: Path) -> "list[ChosenTracker]":
    """Return the trackers of the command line, else of the preferences, else MLflow.

    A package that one of them lacks is reported here, before anything is run.
    """
    from bench.spec.components import construct
    from bench.spec.preferences import load_trackers
    from bench.trackers.mirrors import ChosenTracker

    trackers = []
    for component in load_trackers(values["tracker"]):
        if component["name"] == "mlflow":
            if values["no_mlflow"]:
                continue
            if values["mlflow_uri"]:
                component.setdefault("uri", values["mlflow_uri"])
        word = component["name"] if len(component) == 1 else json.dumps(component)
        try:
            tracker = construct("tracker", component, results)
        except BenchError:
            raise
        except Exception as error:  # whatever the code of another package raises
            raise BenchError(
                f"the tracker {word} cannot be used: {describe_error(error)}"
            ) from error
        trackers.append(ChosenTracker(word, tracker))
    return trackers


def update_mirrors(
    folder: Path, trackers: "Sequence[ChosenTracker]", *, pictures: bool = True
) -> bool:
    """Write CSV files, sample grids and trackers; return whether it went well: it costs no run."""
    from bench.console import say, suggest_command
    from bench.trackers.mirrors import write_mirrors

    try:
        return write_mirrors(folder, trackers, pictures=pictures)
    except (BenchError, OSError) as error:
        why = describe_system_error(error) or error
        command = suggest_command(folder.parent, "mirror", folder.name)
        say(f"the CSV files in {folder} are not up to date: {why}; then run: {command}")
        return False
