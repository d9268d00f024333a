"""The data behind an archive and behind the sweep that it is merged into: they must be the same."""

from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError, short_hash
from bench.record.provenance import recorded_fingerprint
from bench.record.sweep_folder import read_sweep_file, settings_of
from bench.spec.reserved_names import EVALUATIONS
from bench.spec.run_config import canonical_json


def refuse_other_fingerprints(archive: Path, unpacked: Path, folder: Path) -> None:
    """Refuse an archive in which a variant, or a data set by its settings, is on other data."""
    here = dict(_fingerprints(folder, folder))
    for what, (run, found) in _fingerprints(unpacked, unpacked / "runs"):
        mine, known = here.get(what, (run, found))
        if known != found:
            raise BenchError(
                f"{archive} has results from other data than {folder}; mixing them would "
                f"invalidate the averages ({what}): fingerprint {short_hash(known)} of "
                f"{folder / mine}, {short_hash(found)} of {run} in the archive; nothing was "
                "imported; to keep both: --into ANOTHER_NAME"
            )


def _fingerprints(plan: Path, runs: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield what must be on one data set, each variant and each data component, with a run."""
    content = read_sweep_file(plan)
    for entry in [*content.get("runs", []), *content.get("controls", [])]:
        path = runs / entry["id"]
        found = recorded_fingerprint(path)
        if not found or (path / "failed").exists():
            continue
        if "variant" in entry and content.get("sweep") != EVALUATIONS:
            yield f"the variant {entry['variant']!r}", (entry["id"], found)
        if data := settings_of(path).get("data"):
            yield f"data {canonical_json(data)}", (entry["id"], found.split("+")[0])
