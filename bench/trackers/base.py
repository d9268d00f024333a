"""The base class of trackers, and the sweep and its runs as trackers are given them."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.errors import BenchError
from bench.record.files import write_text
from bench.record.locks import hold

ID_FILE = "mirror-id"
"""In the folder of all results: its id, by which trackers know what is its own."""


@dataclass(frozen=True)
class MirroredRun:
    """One run of a sweep, or a control, as a tracker shows it.

    Attributes:
        id: Name of the folder of the run; two variants of a sweep may share a run.
        name: Title for people, as `cvae, seed 0`; at most 230 characters.
        state: `done`, `failed`, `trained` or `unfinished`.
        tags: `sweep`, `run`, `variant`, `model`, `data`, `seed`, `state`, `commit`, `failure`, and
            `protocol.KEY` for each measurement; texts of at most 500 characters.
        config: The complete configuration, flat: dotted key -> plain data.
        metrics: Key, value and iterations: `train/TERM` for losses, the name of a metric for a
            measurement, `cost/NAME` and `timing/NAME`. Keys hold letters, digits, spaces and
            `_ . - /`.
        folder: Of the run.
        files: Those that are worth showing, below `folder`, sample pictures (`.png`) among them.
        started: Milliseconds since 1970; 0 where it was not recorded.
        note: Text for people.
    """

    id: str
    name: str
    state: str
    tags: Mapping[str, str]
    config: Mapping[str, Any]
    metrics: Sequence[tuple[str, float, int]]
    folder: Path
    files: Sequence[Path]
    started: int = 0
    note: str = ""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of a hash over all fields and the bytes of the files."""
        content = [self.name, self.state, self.tags, self.config, self.metrics, self.started]
        content += [self.note] if self.note else []
        digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=dict).encode())
        for path in self.files:
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class MirroredSweep:
    """A sweep as trackers are given it.

    Attributes:
        name: Of the sweep, and of its folder.
        folder: The folder of the sweep, in which a tracker may keep files of its own.
        summary: Means over seeds, and the files of the sweep, in the form of a run.
        runs: All runs and controls that have begun, in the order of the sweep.
    """

    name: str
    folder: Path
    summary: MirroredRun
    runs: Sequence[MirroredRun]


def results_id(results: Path) -> str:
    """Return the id of a folder of results, which is made at the first call.

    Two people may have a sweep of one name at one server: a tracker marks what it writes with this
    id, and touches nothing else. An `OSError` or a `BenchError` says why there is no id.
    """
    path = results / ID_FILE
    if not path.exists():
        with hold(results / f".{ID_FILE}.lock", wait=True):
            if not path.exists():
                write_text(path, f"{uuid4().hex}\n")
    text = path.read_text(errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise BenchError(f"{path} is damaged; delete it, and all is mirrored anew by another id")
    return text


class Tracker(ABC):
    """A mirror of the record in another program.

    A subclass is constructed with `results`, the folder of all results, and annotated options of
    its own, which are the schema of `--tracker '{name: ..., OPTION: ...}'`. The constructor may
    refuse with a `BenchError` before anything is run, for example where a package is missing. After
    that the record on disk is the truth, and no error of a tracker stops or loses a run.
    """

    @abstractmethod
    def update(self, sweep: MirroredSweep) -> str:
        """Bring the mirror of a sweep up to date.

        It is called at the end of `bench run` and `bench tune`, and by `bench mirror`, each time
        with the whole sweep. Runs are distinguished by `id` and `tags["variant"]`; one whose
        `digest` is that of the last time is left alone, any other takes the place of what was
        written of it.

        Args:
            sweep: The sweep, with all runs that have begun.

        Returns:
            A line for the user: how many runs were written, and where they are.

        Raises:
            Exception: Anything; it becomes one warning, with the command that catches up.
        """
