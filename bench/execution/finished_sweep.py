"""Recognize a finished sweep in which nothing has changed, without loading torch or its data.

Whether anything has changed is all that is decided here; what a change means, the whole check says.
"""

import glob
import hashlib
import importlib.util
import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from bench import registry
from bench.errors import BenchError
from bench.record.files import files_below, read_json, write_json
from bench.record.provenance import read_provenance, sessions_of
from bench.record.run_folder import LOCK, read_config
from bench.record.shapes import FinishedFile
from bench.record.sweep_folder import RecordedRun, read_plan
from bench.spec.run_config import RunConfig, digest, recorded_training
from bench.spec.run_settings import Evaluation
from bench.spec.sweep_file import PlannedRun, Sweep, SweepFile, read_spec

FINISHED = "finished.json"

NUMBERS = re.compile(r"\{\d+\.\.\d+(\.\.\d+)?\}")
"""Numbers in a pattern of shards."""


class Untold(Exception):
    """It cannot be told here whether a sweep is unchanged."""


UNTOLD = (Untold, BenchError, OSError, ValueError, LookupError)
"""Errors that say so, the last ones of files that are damaged or of another form."""


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep file with overrides, whose runs were all done when it was marked as finished.

    Attributes:
        spec: The sweep file.
        overrides: What the command line changes in it.
        folder: Where its results are.
        mirrors: What decides which mirrors are written.
        began_ns: When this command began, in nanoseconds since 1970.
    """

    spec: Path
    overrides: Sequence[str]
    folder: Path
    mirrors: Sequence[object] = ()
    began_ns: int = field(default_factory=time.time_ns)

    @classmethod
    def of(
        cls, spec: Path, overrides: Sequence[str], results: Path, mirrors: Sequence[object] = ()
    ) -> "FinishedSweep":
        """Return the sweep of a file; a `SpecError` if its top level is not in order."""
        _, head, errors = read_spec(spec, overrides, SweepFile)
        if errors:
            raise errors[0]
        return cls(spec, overrides, results / head.name, mirrors)

    def mark(self) -> None:
        """Mark the sweep as finished, as this command found it.

        It is not marked where the sweep file, code or data have changed since the command began:
        they may be others than those of the runs, which the next command looks into.
        """
        with suppress(*UNTOLD):
            stamp, changed_ns = self._stamp()
            if changed_ns < self.began_ns:
                write_json(self.folder / FINISHED, {"stamp": stamp})

    def is_unchanged(self) -> bool:
        """Return whether file, code, results, and files that are options are as when marked."""
        try:
            marked = read_json(self.folder / FINISHED, FinishedFile)
            return bool(marked["stamp"] == self._stamp()[0])
        except UNTOLD:
            return False

    def plan(self) -> Sweep:
        """Return the sweep as its results describe it."""
        recorded, runs = read_plan(self.folder)
        planned = []
        for run in runs:
            if run.is_trained:
                content = read_config(run.path)
                rows = (row for row in runs if row.sampling_id and row.id == run.id)
                prefix = f"{run.variant}, "
                sampling = {row.variant.removeprefix(prefix): dict(row.sampling) for row in rows}
                evaluation = Evaluation(**content["evaluation"], sampling=sampling)
                config = RunConfig(recorded_training(content["config"]), evaluation)
                planned.append(PlannedRun(run.variant, config))
        return Sweep(recorded.name, recorded.title, self.spec, tuple(planned))

    def _stamp(self) -> tuple[str, int]:
        """Return a hash of all that decides what a run of this sweep would find to do.

        With it the time of the last change of anything but results, in nanoseconds since 1970.
        """
        _, runs = read_plan(self.folder)
        configs = [read_config(run.path) for run in runs]
        results = {self.folder, *(run.path for run in runs)}
        code = {*_code(runs)}
        options = {file for config in configs for file in _files(config) if _counts(file)}
        inputs = map(os.stat, (self.spec, *code, *options))
        changes = (max(state.st_mtime_ns, state.st_ctime_ns) for state in inputs)
        return digest(
            {
                "spec": [str(self.spec), self.spec.read_text(encoding="utf-8"), *self.overrides],
                "mirrors": [str(each) for each in self.mirrors],
                "code": sorted(f"{path} {_hash(path)}" for path in code),
                "results": sorted(state for path in results for state in _states(path.iterdir())),
                "options": sorted(_states(options)),
            }
        ), max(changes)


def _code(runs: Iterable[RecordedRun]) -> Iterator[Path]:
    """Yield each source file of the packages that have a registered class or that runs recorded.

    These are more files than `bench.execution.source_files` finds, but nothing is imported.
    """
    registered = map(registry.registered, get_args(registry.Kind))
    targets = {each.target for of_kind in registered for each in of_kind.values()}
    tops = {target.partition(":")[0].partition(".")[0] for target in targets}
    for run in runs:
        for session in sessions_of(read_provenance(run.path)):
            files = itertools.chain.from_iterable(session.get("sources", {}).values())
            tops |= {file.removesuffix(".py").partition("/")[0] for file in files}
    for top in tops:
        spec = importlib.util.find_spec(top)
        if spec is None:  # of a model that no run needs
            continue
        for folder in spec.submodule_search_locations or ():
            yield from (path for path in files_below(Path(folder)) if path.suffix == ".py")
        if spec.has_location and spec.origin:
            yield Path(spec.origin)


def _hash(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    return hashlib.sha256(text.encode()).hexdigest()


def _files(value: Any, key: str = "") -> Iterator[Path]:
    """Yield the files under names that settings hold: data, weights, a run to start from.

    A name is a path, or a pattern of shards; names of components are none.
    """
    if isinstance(value, str) and key != "name":
        path = os.path.expanduser(value)
        if os.path.exists(path):
            yield from files_below(Path(path))
        elif found := glob.glob(NUMBERS.sub("*", path)):
            yield from map(Path, found)
        elif re.search(r"[*?\[{]|::", path):
            raise Untold(f"{value} may be a pattern of files")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _files(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _files(inner)


def _states(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the name, size and time of each file that counts."""
    for path in filter(_counts, paths):
        state = os.stat(path)
        yield f"{path} {state.st_size} {state.st_mtime_ns}"


def _counts(path: Path) -> bool:
    """Return whether a path is a file, but no mark and no lock."""
    return path.is_file() and path.name != FINISHED and not path.name.startswith(LOCK)
