"""Configuration and provenance of every run, told once: what all share, and what differs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.record.records import Records
from bench.record.sweep_folder import RecordedSweep
from bench.reporting.page.variants import Variants

UNTOLD = ("command", "argv", "sources", "continued")
"""Provenance that names folders of a machine, or is told beside it or in the notes of tables."""

Settings = Mapping[str, str]


def describe_runs(records: Records, variants: Variants) -> list[dict[str, Any]]:
    """Return all runs of each sweep.

    Args:
        records: The sweeps to show.
        variants: What runs are runs of.

    Returns:
        For each sweep `shared` settings of the configuration and `provenance`, each as pairs;
        `differing`, one setting a row with its value for each variant (None where a variant lacks
        it); and `runs`, each with its own provenance.

    Raises:
        BenchError: If a file is damaged; names it.
    """
    return [_describe_sweep(sweep, records, variants) for sweep in records.sweeps]


def flatten(value: object, path: str = "") -> dict[str, str]:
    """Return nested settings as one list, path -> JSON.

    Args:
        value: What JSON can hold.
        path: Where it stands.

    Returns:
        Its leaves.

    Example:
        >>> flatten({"model": {"name": "cvae", "width": 0.5}, "betas": [0, 0.9]})
        {'model.name': '"cvae"', 'model.width': '0.5', 'betas': '[0, 0.9]'}
    """
    if isinstance(value, dict) and value:
        leaves: dict[str, str] = {}
        for key, held in value.items():
            leaves |= flatten(held, f"{path}.{key}" if path else str(key))
        return leaves
    return {path: json.dumps(value, ensure_ascii=False)}


def shared(held: Sequence[Settings]) -> dict[str, str]:
    """Return the settings that are the same in all of some configurations.

    Args:
        held: The configurations.

    Returns:
        Setting -> value, in the order of the first.

    Example:
        >>> shared([{"width": "1", "rate": "0.1"}, {"width": "1", "rate": "0.2"}])
        {'width': '1'}
    """
    first = held[0] if held else {}
    return {
        key: value
        for key, value in first.items()
        if all(other.get(key) == value for other in held[1:])
    }


def _describe_sweep(sweep: RecordedSweep, records: Records, variants: Variants) -> dict[str, Any]:
    """Return the runs of one sweep."""
    runs = [run for run in records.runs if run.sweep == sweep.name]
    configs: dict[int | None, list[Settings]] = {}
    for run in runs:
        config = _settings(records.config(run))
        config.pop("seed", None)
        if config and not run.is_control:
            configs.setdefault(variants.place(sweep.name, run.variant), []).append(config)
    common = shared([config for held in configs.values() for config in held])
    keys = dict.fromkeys(key for held in configs.values() for config in held for key in config)
    origins = [_settings(records.provenance(run)) for run in runs]
    origin = shared([own for own in origins if own])
    return {
        "sweep": sweep.name,
        "shared": list(common.items()),
        "differing": {
            "variants": list(configs),
            "rows": [
                {"key": key, "values": [_of_variant(key, held) for held in configs.values()]}
                for key in sorted(key for key in keys if key not in common)
            ],
        },
        "provenance": list(origin.items()),
        "runs": [
            {
                "run": run.id,
                "folder": f"{run.sweep}/{run.id}",
                "variant": variants.place(sweep.name, run.variant),
                "data": run.data,
                "seed": run.seed,
                "state": run.state,
                "command": run.command,
                "failure": _failure(run.path),
                "own": [[key, value] for key, value in own.items() if key not in origin],
            }
            for run, own in zip(runs, origins, strict=True)
        ],
    }


def _of_variant(key: str, configs: Iterable[Settings]) -> str | None:
    """Return what a variant has for a setting; all values where its runs differ."""
    values = [config[key] for config in configs if key in config]
    return " | ".join(dict.fromkeys(values)) if values else None


def _settings(content: Mapping[str, Any]) -> dict[str, str]:
    """Return nested content as settings."""
    told = {name: held for name, held in content.items() if name not in UNTOLD}
    return flatten(told) if told else {}


def _failure(folder: Path) -> str:
    """Return the traceback of a run that failed."""
    path = folder / "failed"
    return path.read_text(errors="replace").strip() if path.exists() else ""
