"""A sweep as MLflow runs: a mirror that can be brought up to date at any time.

A sweep is an experiment with one parent run, which carries means and intervals over seeds; every
run of the sweep is a child. A child is known by its tags and a digest: an equal one is left alone,
a changed one is written anew, and no call makes a second one. Only one process writes at a time.
"""

import fcntl
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.console import suggest_command
from bench.errors import BenchError
from bench.record.records import Records, load_records
from bench.reporting.page.document import render_page
from bench.reporting.render import RENDERERS, SUFFIXES
from bench.reporting.tables.build import filled_tables
from bench.reporting.tables.table_spec import load_tables
from bench.trackers.csv_files import write_csv
from bench.trackers.tracked_run import Entry, aggregates, digest_of, entries

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Set where the user has not: a server that does not answer must not hold up a sweep."""

LONGEST_REASON = 240

STATUS = {"done": "FINISHED", "failed": "FAILED", "trained": "KILLED", "unfinished": "KILLED"}
ATTACHED = (".json", ".csv", ".png")


class MirrorError(BenchError):
    """MLflow could not be written; the record is complete, and the text says how to catch up."""


def default_uri(results: Path) -> str:
    """Return the address of the database that lies beside the results."""
    return f"sqlite:///{(results / 'mlflow.db').resolve()}"


def mirror(folder: Path, uri: str | None = None) -> str:
    """Bring the MLflow runs of a sweep up to date with its record.

    Args:
        folder: `results/<sweep>`.
        uri: A tracking server or a database; None for `mlflow.db` beside the sweeps, with the
            artifacts in `mlartifacts`.

    Returns:
        One line on what was written where.

    Raises:
        BenchError: If the record is damaged.
        MirrorError: If MLflow cannot be reached or refuses; nothing is lost.
    """
    results, sweep = folder.parent, folder.name
    where = uri or default_uri(results)
    shown = re.sub(r"://[^/@]*@", "://***@", where)
    records = load_records(results, [sweep])
    try:
        if "://" not in where or where.startswith("file:"):
            raise ValueError("its file store is retired; give an sqlite:/// or http:// address")
        with _locked(results), _quiet():
            written, kept = _Mirror(where, results, records).update()
    except BenchError:
        raise
    except Exception as error:  # whatever a server, a driver or a database may raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if len(reason) > LONGEST_REASON:  # the cause stands at the end of nested messages
            reason = f"{reason[: LONGEST_REASON // 3]} ... {reason[-LONGEST_REASON * 2 // 3 :]}"
        raise MirrorError(
            f"MLflow at {shown} was not updated: {reason}\n"
            f"nothing is lost, all results are in {folder}; catch up with: "
            + suggest_command(results, "mirror", sweep)
        ) from error
    return f"MLflow: {written} runs written, {kept} were up to date, at {shown}"


class _Mirror:
    """One update of one sweep."""

    def __init__(self, uri: str, results: Path, records: Records) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.records = records
        self.sweep = records.sweeps[0]
        self.experiment = self._find_experiment(
            None if uri.startswith("http") else (results / "mlartifacts").resolve().as_uri()
        )

    def update(self) -> tuple[int, int]:
        """Write what is missing or changed.

        Returns:
            How many children were written, and how many were up to date.
        """
        held = self._held()
        parent = self._write_parent(held.pop(("", "sweep"), []))
        wanted = entries(self.records)
        written = 0
        for entry in wanted:
            found = held.pop((entry.variant, entry.run), [])
            tags = found[0].data.tags if found else {}
            if tags.get("bench.digest") == entry.digest:
                if tags.get("mlflow.parentRunId") != parent:
                    self.client.set_tag(found[0].info.run_id, "mlflow.parentRunId", parent)
                self._delete(found[1:])
                continue
            self._delete(found)
            self._write_child(entry, parent)
            written += 1
        for leftover in held.values():  # runs that the sweep no longer has
            self._delete(leftover)
        return written, len(wanted) - written

    def _find_experiment(self, artifacts: str | None) -> str:
        name = f"bench/{self.sweep.name}"
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return str(self.client.create_experiment(name, artifact_location=artifacts))
        if found.lifecycle_stage != "active":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _held(self) -> dict[tuple[str, str], list[Any]]:
        """Return the runs that are there, by variant and id, complete ones first."""
        held: dict[tuple[str, str], list[Any]] = {}
        token = None
        while True:
            page = self.client.search_runs([self.experiment], page_token=token)
            for run in page:
                if run.data.tags.get("bench.sweep") != self.sweep.name:
                    continue  # somebody's own run
                key = run.data.tags.get("bench.variant", ""), run.data.tags.get("bench.run", "")
                held.setdefault(key, []).append(run)
            token = page.token
            if not token:
                break
        for runs in held.values():
            runs.sort(key=lambda run: "bench.digest" not in run.data.tags)
        return held

    def _write_parent(self, found: Sequence[Any]) -> str:
        """Bring the run of the sweep up to date, and return its id."""
        means = aggregates(self.records)
        if found and not set(found[0].data.metrics) <= set(means):
            self._delete(found)  # it shows means of variants that are gone
            found = ()
        states = [run.state for run in self.records.runs]
        tags = {
            "mlflow.note.content": f"{self.sweep.title}\n\n    {self.sweep.command}",
            "bench.sweep": self.sweep.name,
            "bench.run": "sweep",
            "bench.spec": self.sweep.spec,
            "bench.finished": f"{states.count('done')} of {len(states)}",
        }
        self._delete(found[1:])
        if found:
            parent = found[0].info.run_id
        else:
            created = self.client.create_run(
                self.experiment, tags=tags, run_name=f"{self.sweep.name}: means over seeds"
            )
            parent = created.info.run_id
        folder = self.records.results / self.sweep.name
        with tempfile.TemporaryDirectory() as scratch:
            files = self._sweep_files(Path(scratch))
            digest = digest_of([means, tags], files)
            if found and found[0].data.tags.get("bench.digest") == digest:
                return str(parent)
            for path in files:
                root = scratch if path.is_relative_to(scratch) else folder
                place = str(path.relative_to(root).parent)
                self.client.log_artifact(parent, str(path), None if place == "." else place)
        self._log(parent, [(key, value, 0) for key, value in means.items()], {}, tags)
        status = "FINISHED" if set(states) == {"done"} else "RUNNING"
        self.client.set_terminated(parent, "FAILED" if "failed" in states else status)
        self.client.set_tag(parent, "bench.digest", digest)
        return str(parent)

    def _sweep_files(self, scratch: Path) -> tuple[Path, ...]:
        """Write the CSV files, the tables and the page, and return them with the sweep's own files.

        Those are its pictures and plain files, and the figures that `bench figure` made.
        """
        specs = load_tables()
        write_csv(self.records, scratch)
        (scratch / "tables").mkdir()
        for table in filled_tables(specs, self.records):
            for form, render in RENDERERS.items():
                path = scratch / "tables" / f"table-{table.name}{SUFFIXES[form]}"
                path.write_text(render(table), encoding="utf-8")
        page = render_page(self.records, specs)
        (scratch / "report.html").write_text(page, encoding="utf-8")
        own = sorted(path for path in scratch.rglob("*") if path.is_file())
        names = {path.name for path in own}
        folder = self.records.results / self.sweep.name
        given = sorted(path for path in folder.iterdir() if path.suffix in ATTACHED)
        figures = sorted((folder / "figures").glob("*"))
        return (*own, *(path for path in given if path.name not in names), *figures)

    def _write_child(self, entry: Entry, parent: str) -> None:
        """Write a run; its digest comes last, so that half of one is written anew."""
        tags = {f"bench.{key}": value for key, value in entry.tags.items()}
        created = self.client.create_run(
            self.experiment,
            start_time=entry.started or None,
            tags=tags | {"mlflow.parentRunId": parent},
            run_name=entry.name,
        )
        run = created.info.run_id
        self._log(run, entry.metrics, entry.params, {})
        for path in entry.files:
            self.client.log_artifact(run, str(path))
        self.client.set_terminated(run, STATUS[entry.state])
        self.client.set_tag(run, "bench.digest", entry.digest)

    def _log(
        self,
        run: str,
        metrics: Sequence[tuple[str, float, int]],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Send values in batches of the size that MLflow takes."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        values = [Metric(key, value, now, step) for key, value, step in metrics]
        for start in range(0, len(values), 1000):
            self.client.log_batch(run, metrics=values[start : start + 1000])
        settings = [Param(key, value) for key, value in params.items()]
        for start in range(0, len(settings), 100):
            self.client.log_batch(run, params=settings[start : start + 100])
        if tags:
            self.client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])

    def _delete(self, runs: Sequence[Any]) -> None:
        for run in runs:
            self.client.delete_run(run.info.run_id)


@contextmanager
def _locked(results: Path) -> Iterator[None]:
    """Wait until no other process mirrors these results."""
    with (results / ".mlflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from talking, from calling home, and from waiting long."""
    import logging

    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401  (it sets up its own logging when it is imported)

        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
