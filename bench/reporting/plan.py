"""What a sweep expects and how far it is, read from `sweep.json` and the folders of its runs."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench import registry
from bench.errors import BenchError
from bench.tracking.rows import read_rows

State = Literal["done", "failed", "unfinished", "missing"]

REAL = "real"
"""Variant and model of the real test images that go through the same metrics.

Further references are called by their own names; what they have in common is that variant and
model are the same, and that they have no seed."""

VALIDATION = "validation"
"""Split of figures that are for choosing, by judges of their own; no table shows them."""

EVALUATIONS = "evaluations"
"""Folder of the rows that `bench evaluate` keeps; no sweep can be called so."""

ELSEWHERE = "elsewhere"
"""Model of images that another program made."""

RETRY = "--retry-failed"
"""The option of `bench run` without which a failed run is left alone."""

FROM_PATHS = ("folder", "npz")
"""Data sets that are whatever lies at a path, so that their name says nothing;
they are called by the name of the folder or file."""

_RUN_KEYS = {"run": "id", "variant": "variant", "model": "model", "data": "data", "seed": "seed"}


@dataclass(frozen=True)
class Sweep:
    """What a sweep says of itself.

    Attributes:
        name: Its name, and that of its folder.
        title: One line for people.
        spec: The file it was made from, as it was given.
        command: What runs it, or continues it.
    """

    name: str
    title: str
    spec: str
    command: str


def reference_title(name: str) -> str:
    """Return what a reference is called for people."""
    known = registry.entries("reference")
    return known[name].summary if name in known else name


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        BenchError: If it cannot be read; names the file.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BenchError(f"cannot read {path}: it is damaged ({error})") from error
    if not isinstance(content, dict):
        raise BenchError(f"cannot read {path}: it is damaged (a JSON object is wanted)")
    return content


def recorded_failure(folder: Path) -> str:
    """Return the last line of what was recorded of a failure, or an empty text if none was."""
    try:
        text = (folder / "failed").read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot read {folder / 'failed'}: {error.strerror}"
    return text.splitlines()[-1].strip() if text else "no traceback was recorded"


def damage(folder: Path) -> str:
    """Return what is wrong with the files in the folder of a run, as far as its figures need them.

    Nothing that bench does, and no kill, leaves such a file behind; disks and people may.

    Args:
        folder: Folder of a run, finished or not.

    Returns:
        The first problem, with the name of the file; an empty text where there is none.
    """
    try:
        for name in ("done", "config.json", "provenance.json"):
            if (folder / name).exists():
                read_object(folder / name)
        for name in ("evaluation.jsonl", "cost.jsonl", "timings.jsonl"):
            read_rows(folder / name, whole=True)
    except BenchError as problem:
        return str(problem)
    except OSError as error:
        return f"cannot read {error.filename or folder}: {error.strerror}"
    return ""


def read_plan(folder: Path) -> tuple[Sweep, list[dict[str, Any]]]:
    """Read what a sweep expects, and how far each of its runs is.

    Args:
        folder: `results/<sweep>`.

    Returns:
        The sweep; and its runs in order, references last, each with the columns of
        `Records.runs`.

    Raises:
        BenchError: If a file is damaged; names it.
    """
    path = folder / "sweep.json"
    content = read_object(path)
    try:
        sweep = Sweep(folder.name, content["title"], content["spec"], content["command"])
        entries = [
            {axis: entry[key] for axis, key in _RUN_KEYS.items()} for entry in content["runs"]
        ] + [
            {
                "run": entry["id"],
                "variant": entry.get("reference", REAL),
                "model": entry.get("reference", REAL),
                "data": entry["data"],
                "seed": None,
            }
            for entry in content.get("references", [])
        ]
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{path} is not the plan of a sweep ({error} is missing or of the wrong kind); "
            "run the sweep again to write it anew"
        ) from error
    runs = [
        {"sweep": sweep.name, **entry, **_read_state(folder / str(entry["run"]), sweep.command)}
        for entry in entries
    ]
    paths = [run.pop("data_path") for run in runs]
    known = set(paths) - {None}
    for run, own in zip(runs, paths, strict=True):
        source = own or (next(iter(known)) if len(known) == 1 else None)
        if run["data"] in FROM_PATHS and source:
            run["data"] = Path(source).stem.lower()
    return sweep, runs


def _read_state(folder: Path, command: str) -> dict[str, object]:
    """Return what the folder of a run tells besides its rows."""
    state: State = "missing"
    failure = ""
    config: Mapping[str, Any] = {}
    if folder.exists():
        state = "unfinished"
        failure = recorded_failure(folder) or damage(folder)
        if failure:
            state = "failed"
            if command.startswith("bench run ") and RETRY not in command:
                command += f" {RETRY}"
        elif (folder / "done").exists():
            state = "done"
        with suppress(BenchError):  # told above
            if (folder / "config.json").exists():
                config = read_object(folder / "config.json").get("config", {})
    data = config.get("data")
    return {
        "state": state,
        "iterations": config.get("iterations"),
        "batch_size": config.get("batch_size"),
        "failure": failure,
        "data_path": data.get("path") if isinstance(data, dict) else None,
        "path": str(folder),
        "command": command,
    }
