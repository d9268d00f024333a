"""Names of data sets: those with different fingerprints get different names.

Tables, figures and mirrors tell data sets apart by name alone. A run without a fingerprint counts
as on the data of other runs that have the same path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import short_hash
from bench.record.sweep_folder import RecordedRun, RunKey

DIGITS = 8  # of a fingerprint in a name; notes show more

UNKNOWN = "?"
"""Begins the identity of a data set without a fingerprint; its path follows."""


def name_data_sets(runs: Sequence[RecordedRun]) -> dict[RecordedRun, RecordedRun]:
    """Return each run with a name of its data set that no other data set has.

    Where the names of two are the same, they become the ends of their paths, as far as needed; or
    the fingerprint is added, as in `faces@1a2b3c4d`.
    """
    identities = _identities(runs)
    owners: dict[str, dict[str, str]] = {}  # name -> identity -> path
    for run in runs:
        owners.setdefault(run.called, {}).setdefault(identities[run.key], run.data_path)
    names: dict[tuple[str, str], str] = {}
    taken: dict[str, str] = {}  # name -> identity
    for called, paths in owners.items():
        ends = [called] if len(paths) == 1 else _ends(list(paths.values())) or [called] * len(paths)
        for identity, end in zip(paths, ends, strict=True):
            is_alone = ends.count(end) == 1 and taken.get(end, identity) == identity
            name = end if is_alone else f"{end}@{_short(identity)}"
            taken[name] = identity
            names[called, identity] = name
    return {run: replace(run, data=names[run.called, identities[run.key]]) for run in runs}


def in_file_name(data: str) -> str:
    """Return the name of a data set as a part of the name of a file."""
    return data.replace("/", "-")


def _identities(runs: Sequence[RecordedRun]) -> dict[RunKey, str]:
    """Return what each run is on: a fingerprint, or a path where none is on record.

    Runs without one count as on the first data set that fits: of their variant, then of their
    sweep, then of all.
    """
    fingerprints: dict[tuple[str, ...], set[str]] = {}
    for run in runs:
        fingerprints.setdefault(_row_of(run), set()).add(run.fingerprint)
    known: dict[tuple[str, ...], str] = {}
    identities: dict[RunKey, str] = {}
    for run in filter(lambda run: run.fingerprint, runs):
        # unlabeled examples count where two runs of a row have different ones
        is_mixed = len(fingerprints[_row_of(run)]) > 1
        identities[run.key] = run.fingerprint if is_mixed else run.fingerprint.split("+")[0]
        for path in ("", run.data_path):
            for key in _keys(run, path):
                known.setdefault(key, identities[run.key])
    for run in runs:
        path = "" if run.is_measured else run.data_path  # a record of an older version
        found = (known[key] for key in _keys(run, path) if key in known)
        identities.setdefault(run.key, next(found, f"{UNKNOWN}{run.data_path}"))
    return identities


def _row_of(run: RecordedRun) -> tuple[str, ...]:
    return run.sweep, run.variant, run.called, run.fingerprint.split("+")[0]


def _keys(run: RecordedRun, path: str) -> Iterable[tuple[str, ...]]:
    """Return keys of runs that are likely on the same data, the nearest first."""
    of_data = run.called, path
    return (*of_data, run.sweep, run.variant), (*of_data, run.sweep), of_data


def _ends(paths: Sequence[str]) -> list[str]:
    """Return the shortest ends of paths that are all different; none where there are none.

    >>> _ends(["/a/faces", "/b/faces"]), _ends(["faces.v1", "faces.v2"]), _ends(["x", "x"])
    (['a/faces', 'b/faces'], ['faces.v1', 'faces.v2'], [])
    """
    parts = [[part for part in Path(path).parts if part != "/"] for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(some[-length:]) for some in parts]
        if len(set(ends)) == len(ends) and all(ends):
            return ends
    return []


def _short(identity: str) -> str:
    """Return the first digits of each fingerprint of an identity."""
    if identity.startswith(UNKNOWN):
        return "unknown"
    return short_hash(identity, DIGITS)
