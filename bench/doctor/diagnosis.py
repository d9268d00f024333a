"""What a check of the machine says, and what it may look at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Level = Literal["ok", "note", "FAIL"]


class Diagnosis(NamedTuple):
    """One thing that was looked at.

    Attributes:
        level: `FAIL` prevents runs, a `note` costs something, and the rest is `ok`.
        text: What was found.
        remedy: What to do about it, a command if possible; empty where nothing is to be done.
    """

    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What the options of `bench doctor` name.

    Attributes:
        results: The root folder of results, which need not exist.
        mlflow_uri: The address of MLflow; None for the database next to the results.
        weights: Files of pretrained networks by name.
    """

    results: Path
    mlflow_uri: str | None = None
    weights: dict[str, Path] = field(default_factory=dict)
