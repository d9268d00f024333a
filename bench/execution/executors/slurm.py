"""Jobs of a Slurm cluster, as one array, by way of submitit; the nodes must share the results.

A job that is preempted, or whose time is up, saves its run after the iteration and queues again; so
`minutes` may be much less than a run takes. Jobs of a command that was killed go on; the next
command waits for their runs.
"""

import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from bench.errors import BenchError, first_few
from bench.execution.executors.base import Ended, Executor, execute_remotely
from bench.execution.task import Task
from bench.process.worker import Worker
from bench.registry import import_extra
from bench.spec.run_settings import AtLeastOne

ARRAY = 1000  # tasks of one array; Slurm takes 1001 where nobody has changed that
REQUEUES = 1000
GRACE_S = 60.0
OWN = {
    *("account", "array", "cpus-per-task", "error", "gpus-per-node", "job-name", "mem", "output"),
    *("partition", "signal", "time"),
}
"""Options of sbatch that the executor or submitit gives."""
LEAVE = (signal.SIGINT, signal.SIGUSR2)  # from `close`; from Slurm, by way of submitit


class Slurm(Executor):
    """An executor that runs tasks as Slurm jobs.

    Args:
        jobs: Jobs of the array that may run at a time; all where None.
        worker: What every job gets, but for loaded data.
        partition: Where to queue; the cluster's default where None.
        account: Whom to charge.
        minutes: Time limit of a job; a run that needs more is continued in the next.
        cpus: Cores of a job.
        gpus: GPUs of a job; a run uses one.
        memory_gb: Memory of a job; the cluster's default where None.
        more: Further options of sbatch by their names, such as `{constraint: a100}`; not those that
            are options here.

    Raises:
        BenchError: If submitit or Slurm is not there, or `more` has an option that bench sets.
    """

    slots = ARRAY

    def __init__(
        self,
        jobs: int | None,
        worker: Worker,
        *,
        partition: str | None = None,
        account: str | None = None,
        minutes: AtLeastOne = 240,
        cpus: AtLeastOne = 1,
        gpus: Annotated[int, Field(ge=0)] = 0,
        memory_gb: Annotated[float, Field(ge=0.01, allow_inf_nan=False)] | None = None,
        more: dict[str, str | int | float | bool] | None = None,
    ) -> None:
        if own := [name for name in more or () if name.replace("_", "-") in OWN]:
            raise BenchError(
                f"the executor 'slurm' sets {first_few(own, 3)} itself; leave it out of 'more'"
            )
        self._submitit = import_extra("submitit", "slurm", "the executor 'slurm'")
        if self._submitit.SlurmExecutor.affinity() < 0:
            raise BenchError("the executor 'slurm' finds no srun here; is this a Slurm cluster?")
        self.worker = worker
        parameters = {
            "job_name": "bench",
            "partition": partition,
            "account": account,
            "time": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "mem": None if memory_gb is None else f"{round(memory_gb * 1024)}MB",
            "array_parallelism": jobs or ARRAY,
            "additional_parameters": more,
        }
        self.parameters = {key: value for key, value in parameters.items() if value is not None}
        self._jobs: list[tuple[Task, Any]] = []

    def __str__(self) -> str:
        return f"as Slurm jobs, partition {self.parameters.get('partition', 'by default')}"

    def start(self, tasks: Sequence[Task]) -> None:
        """Queue tasks as one array."""
        if not tasks:
            return
        folder = tasks[0].path.parent / "slurm"
        queue = self._submitit.SlurmExecutor(folder, max_num_timeout=REQUEUES)
        queue.update_parameters(**self.parameters)
        refused = (self._submitit.core.utils.FailedJobError, subprocess.CalledProcessError)
        try:
            with queue.batch():
                jobs = [queue.submit(_Job(task, self.worker)) for task in tasks]
        except refused as error:
            raise BenchError(f"Slurm refused the jobs: {error}") from error
        self._jobs += zip(tasks, jobs, strict=True)

    def ended(self, seconds: float) -> list[Ended]:
        """Return what has ended, by the files that jobs leave, and by sacct."""
        ended = [(task, job) for task, job in self._jobs if job.done()]
        if not ended:
            time.sleep(seconds)
        self._jobs = [pair for pair in self._jobs if pair not in ended]
        return [self._outcome(task, job) for task, job in ended]

    def close(self) -> None:
        """Cancel what waits, ask what runs to save, and cancel it if it does not end."""
        ids = [job.job_id for _, job in self._jobs]
        if not ids:
            return
        begun = [job for _, job in self._jobs if job.paths.stdout.exists()]
        try:
            subprocess.call(["scancel", "--state=PENDING", *ids])
            subprocess.call(["scancel", "--signal=INT", *ids])
            end = time.monotonic() + GRACE_S
            while time.monotonic() < end and not all(job.done() for job in begun):
                time.sleep(0.2)
        finally:
            subprocess.call(["scancel", *ids])
            self._jobs.clear()

    def _outcome(self, task: Task, job: Any) -> Ended:
        errors = self._submitit.core.utils
        try:
            return Ended(task, *job.result())
        except (errors.FailedJobError, errors.UncompletedJobError):
            return Ended(task, "lost", f"ended without a word (see {job.paths.stderr})")


class _Job:
    """A job on a node: a task that is queued again when Slurm interrupts it."""

    def __init__(self, task: Task, worker: Worker) -> None:
        self.task = task
        self.worker = worker

    def __call__(self) -> tuple[str, str]:
        requeue = signal.getsignal(signal.SIGUSR2)  # submitit's, which pickles this and queues it
        outcome, reason = execute_remotely(self.task, self.worker, LEAVE)
        if outcome == "lost" and self.worker.stop.asked == signal.SIGUSR2 and callable(requeue):
            requeue(signal.SIGUSR2, None)
        return outcome, reason

    def checkpoint(self) -> Any:
        """Return what is to be done when the job starts again: the same, from the checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(_Job(self.task, self.worker))
