"""The sweep file or tuning file that a user means, and which of the two a file is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError, SpecError, describe_unknown
from bench.spec.located_yaml import read_yaml
from bench.spec.sweep_file import TABLES, SweepFile, sweeps_folders, yaml_files
from bench.tuning.tuning_file import TuningFile


def find_spec(spec: Path, *, tunes: bool) -> Path:
    """Return the file that a user means: a path, or the name of a file in a folder of sweeps."""
    if os.path.exists(spec) and not os.path.isdir(spec):
        return spec
    named = {path.stem: path for path in yaml_files(*sweeps_folders()) if path.name != TABLES}
    if str(spec) in named:
        return named[str(spec)]
    if os.path.isdir(spec):
        return spec
    beside = {path.name: path for path in yaml_files(spec.parent)}
    known = [
        name for name, path in (beside | named).items() if bool(_is_tuning_file(path)) == tunes
    ]
    kind = "tuning file" if tunes else "sweep"
    raise SpecError(describe_unknown(kind, str(spec), known))


def _is_tuning_file(path: Path) -> bool | None:
    """Return whether a file has a key that only tuning files have; None if it cannot be read."""
    try:
        keys = read_yaml(path).value.keys()
    except BenchError:
        return None
    return bool(keys & (TuningFile.model_fields.keys() - SweepFile.model_fields.keys()))


@contextmanager
def refusing_other_kind(spec: Path, *, tunes: bool) -> Iterator[None]:
    """Say which command is for a file, where a sweep is wrong since it is a tuning file, or so."""
    try:
        yield
    except SpecError as error:
        if _is_tuning_file(spec) in (tunes, None):
            raise
        text = (
            "this is a sweep; use `bench run`"
            if tunes
            else "this is a tuning file; use `bench tune`"
        )
        raise SpecError(text, where=str(spec)) from error
