"""What a sweep expects and how far it is, read from `sweep.json` and the folders of its runs."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import BenchError
from bench.record.files import read_json
from bench.record.run_folder import RunFolder
from bench.spec.reserved_names import REAL

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


def control_title(name: str) -> str:
    """Return what a control is called for people."""
    known = registry.registered("control")
    return known[name].summary if name in known else name


def read_sweep_file(folder: Path) -> dict[str, Any]:
    """Return the `sweep.json` of a folder; what older versions called otherwise is renamed."""
    content = read_json(folder / "sweep.json")
    if "references" in content:
        content["controls"] = [
            {("control" if key == "reference" else key): value for key, value in entry.items()}
            for entry in content.pop("references")
        ]
    return content


def read_plan(folder: Path) -> tuple[Sweep, list[dict[str, Any]]]:
    """Read what a sweep expects, and how far each of its runs is.

    Args:
        folder: `results/<sweep>`.

    Returns:
        The sweep; and its runs in order, controls last, each with the columns of
        `Records.runs`.

    Raises:
        BenchError: If a file is damaged; names it.
    """
    path = folder / "sweep.json"
    content = read_sweep_file(folder)
    try:
        sweep = Sweep(folder.name, content["title"], content["spec"], content["command"])
        entries = [
            {axis: entry[key] for axis, key in _RUN_KEYS.items()} | _asked(entry)
            for entry in content["runs"]
        ] + [
            {
                "run": entry["id"],
                "variant": entry.get("control", REAL),
                "model": entry.get("control", REAL),
                "data": entry["data"],
                "seed": None,
                **_asked(entry),
            }
            for entry in content.get("controls", [])
        ]
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{path} is not the plan of a sweep ({error} is missing or of the wrong kind); "
            "run the sweep again to write it anew"
        ) from error
    runs = [
        {
            "sweep": sweep.name,
            **entry,
            **_read_state(folder / str(entry["run"]), sweep.command, entry["evaluation"]),
        }
        for entry in entries
    ]
    paths = [run.pop("data_path") for run in runs]
    known = set(paths) - {None}
    for run, own in zip(runs, paths, strict=True):
        source = own or (next(iter(known)) if len(known) == 1 else None)
        if run["data"] in FROM_PATHS and source:
            run["data"] = Path(source).stem.lower()
    return sweep, runs


def _asked(entry: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what is to be measured; older versions did not write it."""
    return {"evaluation": entry.get("evaluation")}


def _read_state(folder: Path, command: str, evaluation_id: str | None) -> dict[str, object]:
    """Return what the folder of a run tells besides its rows."""
    status = RunFolder(folder).status(evaluation_id)
    if status.state == "failed" and command.startswith("bench run ") and RETRY not in command:
        command += f" {RETRY}"
    config: Mapping[str, Any] = {}
    with suppress(BenchError):  # which makes it a failed one
        if (folder / "config.json").exists():
            config = read_json(folder / "config.json").get("config", {})
    data = config.get("data")
    return {
        "state": status.state,
        "iterations": config.get("iterations"),
        "batch_size": config.get("batch_size"),
        "failure": status.reason,
        "data_path": data.get("path") if isinstance(data, dict) else None,
        "path": str(folder),
        "command": command,
    }
