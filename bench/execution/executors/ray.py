"""Tasks of a Ray cluster, or of a Ray that is started on this machine.

A node that does not see the results works in a folder of its own, and sends that through Ray's
object store when the run has ended; so there a run that is interrupted begins again, and two
commands do not see each other's work.
"""

import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.errors import BenchError, describe_system_error, first_line
from bench.execution.executors.base import Ended, Executor, execute_remotely
from bench.execution.task import Task
from bench.process.worker import Worker
from bench.record.run_folder import LOCK
from bench.registry import import_extra

GRACE_S = 60.0
POLL_S = 0.1
ENDINGS = ("done", "failed")


class Ray(Executor):
    """An executor that runs tasks on a Ray cluster.

    Args:
        jobs: Tasks given to Ray at a time, 1000 where None; those without room wait there.
        worker: What every task gets, but for loaded data.
        address: Of the cluster, as `ray.init` takes it; `$RAY_ADDRESS`, or else a Ray of this
            machine only, where None.
        cpus: Cores of a task.
        gpus: GPUs of a task, also a fraction; one where the cluster has any, if None.

    Raises:
        BenchError: If Ray is not installed, or the cluster does not answer.
    """

    def __init__(
        self,
        jobs: int | None,
        worker: Worker,
        *,
        address: str | None = None,
        cpus: float = 1,
        gpus: float | None = None,
    ) -> None:
        self._ray = ray = import_extra("ray", "ray", "the executor 'ray'")
        self.worker = worker
        self.slots = jobs or 1000
        self.address = address or os.environ.get("RAY_ADDRESS") or "local"
        variables = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
        local = {"include_dashboard": False} if self.address == "local" else {}
        try:
            ray.init(
                self.address, runtime_env={"env_vars": variables}, configure_logging=False, **local
            )
        except (ConnectionError, ValueError) as error:
            raise BenchError(f"no Ray cluster answers at {self.address}: {error}") from error
        if gpus is None:
            gpus = 1 if ray.cluster_resources().get("GPU") else 0
        # A lost task is started again by the scheduler, as with every other executor.
        options = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=0)
        self._execute = options(_execute_on_node)
        self._tasks: dict[Any, Task] = {}
        self._name = f".ray-{uuid4().hex}"
        self._marks: set[Path] = set()

    def __str__(self) -> str:
        return f"on Ray, address {self.address}"

    def start(self, tasks: Sequence[Task]) -> None:
        """Give tasks to Ray."""
        for task in tasks:
            absolute = replace(task, path=task.path.resolve())
            mark = absolute.path.with_name(self._name)
            mark.touch()
            self._marks.add(mark)
            self._tasks[self._execute.remote(absolute, self.worker, mark, Path.cwd())] = task

    def ended(self, seconds: float) -> list[Ended]:
        """Return what has ended; the end of a node is noticed when Ray notices it."""
        end = time.monotonic() + seconds
        while True:
            with self.worker.stop.deferred():  # Ray's own code must not be left in the middle
                ended = [self._outcome(reference) for reference in self._ready()]
            if ended or time.monotonic() >= end:
                return ended
            time.sleep(POLL_S)  # which a request to stop interrupts

    def close(self) -> None:
        """Ask all tasks to save and end, wait for them, and leave the cluster."""
        try:
            for reference in self._tasks:
                self._ray.cancel(reference, force=False)
            end = time.monotonic() + GRACE_S
            while len(self._ready()) < len(self._tasks) and time.monotonic() < end:
                time.sleep(POLL_S)
        finally:
            self._tasks.clear()
            for mark in self._marks:
                mark.unlink(missing_ok=True)
            self._ray.shutdown()

    def _ready(self) -> list[Any]:
        refs = list(self._tasks)
        return self._ray.wait(refs, num_returns=len(refs), timeout=0)[0] if refs else []

    def _outcome(self, reference: Any) -> Ended:
        task = self._tasks.pop(reference)
        try:
            outcome, reason, packed = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), BenchError):
                raise cause from None
            return Ended(task, "lost", f"ended: {first_line(error)}")
        try:
            if packed is not None:
                _unpack(packed, task.path)
        except OSError as error:
            return Ended(task, "failed", describe_system_error(error) or str(error))
        return Ended(task, outcome, reason)


def _execute_on_node(
    task: Task, worker: Worker, mark: Path, cwd: Path
) -> tuple[str, str, bytes | None]:
    """Do a task on a node; return its folder too where the node does not see `mark`."""
    if cwd.is_dir():
        os.chdir(cwd)  # paths in the configuration may be relative
    if mark.exists():
        return *execute_remotely(task, worker), None
    if not task.is_portable:
        raise BenchError(f"{task.label}: a node does not see {mark.parent}, where others work")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / task.path.name
        outcome, reason = execute_remotely(replace(task, path=folder), worker)
        return outcome, reason, None if outcome == "lost" else _pack(folder)


def _pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.iterdir(), key=lambda path: path.name in ENDINGS):
            if not path.name.startswith(LOCK):
                archive.add(path, path.name)
    return buffer.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    """Put files and folders of a run into its folder, `done` or `failed` last."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(scratch, filter="data")
            names = [name for name in archive.getnames() if "/" not in name]
        folder.mkdir(exist_ok=True)
        for name in names:
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            (Path(scratch) / name).replace(folder / name)
