"""A sweep in MLflow: a mirror of the record that can be brought up to date at any time.

A sweep is an experiment with one parent run, which has means over seeds; its runs are children. A
run with the digest of what it should hold is left alone, any other is written again.
"""

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from bench.console import suggest_command
from bench.errors import BenchError
from bench.record.locks import hold
from bench.record.records import Records, load_records
from bench.trackers.mlflow_runs import MlflowRun, child_runs, parent_run

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Set where the user has not: a server that does not answer must not hold up a sweep."""

LONGEST_REASON = 240
STATUS = {"done": "FINISHED", "failed": "FAILED", "running": "RUNNING"}  # any other is KILLED

MOST_RUNS, MOST_METRICS, MOST_PARAMS = 50_000, 1000, 100
"""The most that MLflow takes or gives in one request."""


def default_uri(results: Path) -> str:
    """Return the address of the database beside the results."""
    return f"sqlite:///{(results / 'mlflow.db').resolve()}"


def update_mlflow(folder: Path, uri: str | None = None) -> str:
    """Bring the MLflow runs of the sweep in `folder` up to date, and return a line about it.

    If MLflow cannot be reached or refuses, a `BenchError` says how to catch up; nothing is lost.
    """
    results, sweep = folder.parent, folder.name
    uri = uri or default_uri(results)
    shown = re.sub(r"://[^/@]*@", "://***@", uri)
    records = load_records(results, [sweep])
    try:
        if "://" not in uri or uri.startswith("file:"):
            raise ValueError("its file store is retired; give an sqlite:/// or http:// address")
        with hold(results / ".mlflow.lock", wait=True), _quiet():  # one process writes at a time
            written, kept = _Experiment(uri, records).update()
    except BenchError:
        raise
    except Exception as error:  # whatever a server, a driver or a database may raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if len(reason) > LONGEST_REASON:  # the cause is at the end of nested messages
            reason = f"{reason[: LONGEST_REASON // 3]} ... {reason[-LONGEST_REASON * 2 // 3 :]}"
        raise BenchError(
            f"MLflow at {shown} was not updated: {reason}\n"
            f"nothing is lost, all results are in {folder}; catch up with: "
            + suggest_command(results, "mirror", sweep)
        ) from error
    return f"MLflow: {written} runs written, {kept} were up to date, at {shown}"


class _Experiment:
    """The MLflow experiment of one sweep."""

    def __init__(self, uri: str, records: Records) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.records = records
        self.sweep = records.sweeps[0].name
        known = self.client.get_experiment_by_name(f"bench/{self.sweep}")
        if known is None:
            local = (records.results / "mlartifacts").resolve().as_uri()
            location = None if uri.startswith("http") else local
            self.id = self.client.create_experiment(f"bench/{self.sweep}", location)
            return
        self.id = known.experiment_id
        if known.lifecycle_stage != "active":
            self.client.restore_experiment(self.id)

    def update(self) -> tuple[int, int]:
        """Write what is missing or changed; return how many children were written and kept."""
        existing: dict[tuple[str, ...], Any] = {}
        outdated = []
        query = f"tags.`bench.sweep` = '{self.sweep}'"  # other runs may be the user's
        for run in self.client.search_runs([self.id], query, max_results=MOST_RUNS):
            key = [run.data.tags.get(f"bench.{name}", "") for name in ("run", "variant", "digest")]
            if existing.setdefault(tuple(key), run) is not run:
                outdated.append(run)
        parents = [existing.pop(key) for key in list(existing) if key[0] == "sweep"]
        parent = self._update_parent(parents)
        outdated += [run for run in parents if run.info.run_id != parent]
        wanted = child_runs(self.records)
        written = 0
        for run in wanted:
            same = existing.pop((run.tags["run"], run.tags["variant"], run.digest), None)
            if same is None:
                self._write(run, {"mlflow.parentRunId": parent})
                written += 1
            elif same.data.tags.get("mlflow.parentRunId") != parent:
                self.client.set_tag(same.info.run_id, "mlflow.parentRunId", parent)
        for run in (*outdated, *existing.values()):
            self.client.delete_run(run.info.run_id)
        return written, len(wanted) - written

    def _update_parent(self, existing: Sequence[Any]) -> str:
        """Return the id of the parent run: an old one, unless it holds metrics no longer wanted."""
        wanted = parent_run(self.records)
        keys = {key for key, _, _ in wanted.metrics}
        kept = next((run for run in existing if set(run.data.metrics) <= keys), None)
        if kept is None:
            return self._write(wanted, {})
        if kept.data.tags.get("bench.digest") != wanted.digest:
            self._write(wanted, {}, kept.info.run_id)
        return str(kept.info.run_id)

    def _write(self, run: MlflowRun, tags: dict[str, str], into: str = "") -> str:
        """Write a run, the digest last, so that half a run does not count; return its id."""
        from mlflow.entities import Metric, Param, RunTag

        tags |= {f"bench.{key}": value for key, value in run.tags.items()}
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
        params = iter([Param(key, value) for key, value in run.params.items()])
        while part := list(islice(params, MOST_PARAMS)):
            self.client.log_batch(into, params=part)
        for path in run.files:
            subfolder = str(path.parent.relative_to(run.folder))
            self.client.log_artifact(into, str(path), None if subfolder == "." else subfolder)
        self.client.set_terminated(into, STATUS.get(run.state, "KILLED"))
        self.client.set_tag(into, "bench.digest", run.digest)
        return into


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
