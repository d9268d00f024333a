"""Configuration and provenance of every run: what all share, shown once, and what differs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import DamagedRecord
from bench.record.files import flatten, read_regular
from bench.record.records import Records
from bench.reporting.grouping import grouped
from bench.reporting.page.variants import PageVariants

LEFT_OUT = ("command", "sources", "continued")
"""Provenance that names folders of a machine, or is shown elsewhere."""

Settings = Mapping[str, str]


def describe_runs(records: Records, variants: PageVariants) -> list[dict[str, Any]]:
    """Return all runs, with shared and differing settings listed once per sweep."""
    return [_describe_sweep(sweep.name, records, variants) for sweep in records.sweeps]


def _describe_sweep(sweep: str, records: Records, variants: PageVariants) -> dict[str, Any]:
    runs = [run for run in records.runs if run.sweep == sweep]
    by_variant = grouped(
        (variants.index(sweep, run.variant), _settings(config, leave_out=(*LEFT_OUT, "seed")))
        for run in runs
        if not run.is_control and (config := records.config(run))
    )
    configs = [config for of_variant in by_variant.values() for config in of_variant]
    common = _shared(configs)
    keys = sorted({key for config in configs for key in config} - set(common))
    origins = [_settings(records.provenance(run)) for run in runs]
    origin = _shared([own for own in origins if own])
    return {
        "sweep": sweep,
        "shared": list(common.items()),
        "differing": {
            "variants": list(by_variant),
            "rows": [
                {"key": key, "values": [_of_variant(key, some) for some in by_variant.values()]}
                for key in keys
            ],
        },
        "provenance": list(origin.items()),
        "runs": [
            {
                "run": run.id,
                "folder": f"{run.sweep}/{run.id}",
                "variant": variants.index(sweep, run.variant),
                "data": run.data,
                "seed": run.seed,
                "state": run.state,
                "command": run.command,
                "failure": _traceback(run.path),
                "own": [[key, value] for key, value in own.items() if key not in origin],
            }
            for run, own in zip(runs, origins, strict=True)
        ],
    }


def _shared(configs: Sequence[Settings]) -> dict[str, str]:
    """Return the settings that are the same in all configurations, in the order of the first."""
    first = configs[0] if configs else {}
    return {key: v for key, v in first.items() if all(c.get(key) == v for c in configs)}


def _of_variant(key: str, configs: Iterable[Settings]) -> str | None:
    """Return what a variant has for a setting; all values where its runs differ."""
    values = [config[key] for config in configs if key in config]
    return " | ".join(dict.fromkeys(values)) if values else None


def _settings(content: Mapping[str, Any], leave_out: Sequence[str] = LEFT_OUT) -> dict[str, str]:
    """Return nested content as dotted keys and JSON."""
    leaves = flatten({key: value for key, value in content.items() if key not in leave_out})
    return {key: json.dumps(value, ensure_ascii=False) for key, value in leaves.items()}


def _traceback(folder: Path) -> str:
    try:
        return read_regular(folder / "failed").decode(errors="replace").strip()
    except DamagedRecord:  # mostly, since it is not there
        return ""
