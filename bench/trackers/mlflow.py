"""A sweep in MLflow: a mirror of the record that can be brought up to date at any time.

A sweep is an experiment with one parent run, which has means over seeds; its runs are children. In
a database file a folder of results has experiments of its own, since pictures lie beside it. A
run with the digest of what it should hold is left alone, any other is written again. Runs carry the
id of the folder of results that they mirror, and those of another folder are not touched.
"""

import json
import logging
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from bench.errors import BenchError, first_line, mask_passwords
from bench.record.locks import hold
from bench.trackers.base import MirroredRun, MirroredSweep, Tracker, results_id
from bench.trackers.mirrored_runs import LONGEST_VALUE, safe_key

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Set where the user has not: a server that does not answer must not hold up a sweep."""

STATUS = {"done": "FINISHED", "failed": "FAILED", "running": "RUNNING"}  # any other is KILLED

MOST_TRIES = 3
"""At a database that cannot be opened; MLflow's default takes 109 seconds."""

MOST_RUNS, MOST_METRICS, MOST_PARAMS = 50_000, 1000, 100
"""The most that MLflow takes or gives in one request."""


class MLflow(Tracker):
    """Mirror in MLflow: an experiment for each sweep.

    Args:
        results: The folder of all results.
        uri: Address of a tracking server or database; `$MLFLOW_TRACKING_URI`, or else the database
            `mlflow.db` in the results, where None.
    """

    def __init__(self, results: Path, *, uri: str | None = None) -> None:
        given = uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.results = results
        self.is_shared = bool(given)
        self.uri = given or f"sqlite:///{(results / 'mlflow.db').resolve()}"

    def update(self, sweep: MirroredSweep) -> str:
        """Bring the runs of a sweep up to date; a `BenchError` says why it cannot."""
        try:
            if "://" not in self.uri or self.uri.startswith("file:"):
                raise ValueError("its file store is retired; give an sqlite:/// or http:// address")
            database = _file_of(self.uri)
            folder = database.parent if database else self.results
            with hold(folder / ".mlflow.lock", wait=True), _quiet():  # one writes at a time
                _prepare_database(self.uri)
                written, kept = _Experiment(self, sweep).update()
        except BenchError:
            raise
        except Exception as error:  # whatever a server, a driver or a database may raise
            reason = _masked(first_line(error), self.uri)
            where = f"MLflow at {mask_passwords(self.uri)}"
            remedy = " (a damaged database can be moved away: it is made again)"
            raise BenchError(f"{where}: {reason}{remedy * bool(_file_of(self.uri))}") from error
        where = mask_passwords(self.uri)
        return f"MLflow: {written} runs written, {kept} were up to date, at {where}"


def _masked(text: str, uri: str) -> str:
    """Return a text without the password of an address, which drivers also print alone."""
    given = re.match(r"[^:]*://[^:@/]*:(.+)@", uri)
    for password in {given[1], unquote(given[1])} if given else ():
        text = text.replace(password, "***")
    return mask_passwords(text)


def _file_of(uri: str) -> Path | None:
    """Return the file of a plain SQLite database; None for any other address."""
    is_file = uri.startswith("sqlite:///") and "?" not in uri
    return Path(uri.removeprefix("sqlite:///")) if is_file else None


def _prepare_database(uri: str) -> None:
    """Make a new SQLite database whole or not at all; raise at once if one cannot be written.

    MLflow makes tables one by one, refuses a database that lacks some, and tries an address that
    fails again for minutes.
    """
    import mlflow.store.db.utils
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    mlflow.store.db.utils.MAX_RETRY_COUNT = MOST_TRIES
    if (path := _file_of(uri)) is None:
        return
    if not path.exists():
        partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
        try:
            store = SqlAlchemyStore(f"sqlite:///{partial}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
            store.engine.dispose()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE bench_can_write (a)")
        database.execute("ROLLBACK")


class _Experiment:
    """The MLflow experiment of one sweep."""

    def __init__(self, tracker: MLflow, sweep: MirroredSweep) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=tracker.uri)
        self.sweep = sweep
        self.owner = results_id(tracker.results)
        # In the database of this folder, runs without a mark were written before there were any.
        self.owner_of_unmarked = "" if tracker.is_shared else self.owner
        results = tracker.results.resolve()
        local = (results / "mlartifacts").as_uri()
        name = f"bench/{sweep.name}"
        known = self.client.get_experiment_by_name(name)
        if known and _file_of(tracker.uri) and known.artifact_location != local:
            # Of a folder that this one was copied or moved from, or that shares the database: its
            # pictures are not ours to overwrite.
            name += f" in {results}"
            known = self.client.get_experiment_by_name(name)
        if known is None:
            location = None if tracker.uri.startswith("http") else local
            self.id = self.client.create_experiment(name, location)
            return
        self.id = known.experiment_id
        if known.lifecycle_stage != "active":
            self.client.restore_experiment(self.id)

    def update(self) -> tuple[int, int]:
        """Write what is missing or changed; return how many children were written and kept."""
        existing: dict[tuple[str, ...], Any] = {}
        outdated = []
        query = f"tags.`bench.sweep` = '{self.sweep.name}'"  # other runs may be the user's
        for run in self.client.search_runs([self.id], query, max_results=MOST_RUNS):
            if run.data.tags.get("bench.results", self.owner_of_unmarked) != self.owner:
                continue
            key = [run.data.tags.get(f"bench.{name}", "") for name in ("run", "variant", "digest")]
            if existing.setdefault(tuple(key), run) is not run:
                outdated.append(run)
        parents = [existing.pop(key) for key in list(existing) if key[0] == "sweep"]
        parent = self._update_parent(parents)
        outdated += [run for run in parents if run.info.run_id != parent]
        written = 0
        for run in self.sweep.runs:
            same = existing.pop((run.id, run.tags["variant"], run.digest), None)
            if same is None:
                self._write(run, {"mlflow.parentRunId": parent})
                written += 1
            elif same.data.tags.get("mlflow.parentRunId") != parent:
                self.client.set_tag(same.info.run_id, "mlflow.parentRunId", parent)
        for run in (*outdated, *existing.values()):
            self.client.delete_run(run.info.run_id)
        return written, len(self.sweep.runs) - written

    def _update_parent(self, existing: Sequence[Any]) -> str:
        """Return the id of the parent run: an old one, unless it holds metrics no longer wanted."""
        wanted = self.sweep.summary
        keys = {key for key, _, _ in wanted.metrics}
        kept = next((run for run in existing if set(run.data.metrics) <= keys), None)
        if kept is None:
            return self._write(wanted, {})
        if kept.data.tags.get("bench.digest") != wanted.digest:
            self._write(wanted, {}, kept.info.run_id)
        return str(kept.info.run_id)

    def _write(self, run: MirroredRun, tags: dict[str, str], into: str = "") -> str:
        """Write a run, the digest last, so that half a run does not count; return its id."""
        from mlflow.entities import Metric, Param, RunTag

        tags |= {f"bench.{key}": value for key, value in run.tags.items()}
        tags |= {"bench.results": self.owner}
        tags |= {"mlflow.note.content": run.note} if run.note else {}
        if into:
            self.client.log_batch(into, tags=[RunTag(key, value) for key, value in tags.items()])
        else:
            created = self.client.create_run(self.id, run.started or None, tags, run.name)
            into = str(created.info.run_id)
        now = int(time.time() * 1000)
        metrics = iter([Metric(key, value, now, step) for key, value, step in run.metrics])
        while part := list(islice(metrics, MOST_METRICS)):
            self.client.log_batch(into, metrics=part)
        params = iter([Param(key, value) for key, value in params_of(run.config).items()])
        while part := list(islice(params, MOST_PARAMS)):
            self.client.log_batch(into, params=part)
        for path in run.files:
            subfolder = str(path.parent.relative_to(run.folder))
            self.client.log_artifact(into, str(path), None if subfolder == "." else subfolder)
        self.client.set_terminated(into, STATUS.get(run.state, "KILLED"))
        self.client.set_tag(into, "bench.digest", run.digest)
        return into


def params_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as keys that a server accepts and text, long values cut."""
    params = {}
    for key, value in config.items():
        text = value if isinstance(value, str) else json.dumps(value)
        is_long = len(text) > LONGEST_VALUE
        params[safe_key(key)] = text[: LONGEST_VALUE - 1] + "…" if is_long else text
    return params


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from logging, from telemetry, and from waiting long."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
