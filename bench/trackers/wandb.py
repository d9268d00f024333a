"""A sweep in Weights & Biases: a run for each run, written by a process of its own.

wandb starts a service, threads and signal handlers. They live in a process that ends with the
mirror, cannot ask for a login, and is killed where it takes too long. Started with the name of this
module, that process reads a job from stdin, and writes the line for the user to stdout.
"""

import hashlib
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image

from bench.errors import BenchError, DamagedRecord, describe_error
from bench.record.files import read_json, write_json
from bench.record.shapes import Shape
from bench.registry import require_extra
from bench.trackers.base import MirroredRun, MirroredSweep, Tracker, results_id

Mode = Literal["online", "offline"]

MOST_SECONDS, MOST_SECONDS_A_RUN, MOST_SECONDS_TO_BEGIN = 90, 20, 20
LONGEST_TAG = 64
STATE = "bench.json"
"""Which digests were written to which target."""

TARGET = ("WANDB_ENTITY", "WANDB_BASE_URL")
MODES = {"run": "online", "shared": "online", "dryrun": "offline"}  # other words of $WANDB_MODE


class MirrorState(Shape):
    """The file `bench.json`."""

    target: list[str]
    digests: dict[str, str]


@dataclass(frozen=True)
class Job:
    """What the process is to do, as long as the one that asked for it lives."""

    parent: int
    sweep: MirroredSweep
    project: str
    mode: Mode | None
    results_id: str


class WeightsAndBiases(Tracker):
    """Mirror in Weights & Biases, online or as files that `wandb sync` sends later.

    Args:
        results: The folder of all results.
        project: Project of all runs, in which a group is a sweep; where None `$WANDB_PROJECT`, or
            else `bench`.
        mode: `online` or `offline`; where None what `$WANDB_MODE` says, else `online` where a login
            is known. No login is asked for.

    Raises:
        BenchError: If wandb is not installed.
    """

    def __init__(
        self, results: Path, *, project: str | None = None, mode: Mode | None = None
    ) -> None:
        require_extra("wandb", "wandb", "the tracker 'wandb'")
        self.results = results
        self.project = project or os.environ.get("WANDB_PROJECT") or "bench"
        self.mode = mode

    def update(self, sweep: MirroredSweep) -> str:
        """Write the runs that changed in a process of its own, and wait for its end."""
        seconds = MOST_SECONDS + MOST_SECONDS_A_RUN * len(sweep.runs)
        owner = results_id(self.results)
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", __name__],
                input=pickle.dumps(Job(os.getpid(), sweep, self.project, self.mode, owner)),
                capture_output=True,
                timeout=seconds,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for this process alone
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"wandb timed out after {seconds} seconds") from error
        if ended.returncode:
            lines = ended.stderr.decode(errors="replace").strip().splitlines()
            raise BenchError(lines[-1] if lines else f"wandb ended with {ended.returncode}")
        return ended.stdout.decode().splitlines()[-1]


def do_job() -> None:
    """Do a job from stdin."""
    job: Job = pickle.load(sys.stdin.buffer)
    mode = job.mode or _known_mode()
    if mode == "disabled":
        print("Weights & Biases: nothing was written, since WANDB_MODE is disabled")
        return
    folder = job.sweep.folder / "wandb"
    target = [mode, job.project, *(os.environ.get(name, "") for name in TARGET)]
    digests = _read_digests(folder, target)
    wanted = {_id_of(run, job.results_id): run for run in job.sweep.runs}
    for gone in digests.keys() - wanted.keys():
        _remove(_files(folder, gone))
        del digests[gone]
    written = 0
    for id_, run in wanted.items():
        if digests.get(id_) == run.digest:
            continue
        if os.getppid() != job.parent:  # killed, and with it the lock against a second mirror
            return
        before = _files(folder, id_)
        _write(run, id_, job, mode)
        if _files(folder, id_) - before:  # what was written before stays where that fails
            _remove(before)
        written += 1
        digests[id_] = run.digest
        write_json(folder / STATE, {"target": target, "digests": digests})
    kept = len(wanted) - written
    where = f"in the project {job.project}"
    if mode == "offline":
        where = f"offline; to send them: wandb sync {shlex.quote(str(folder))}/offline-run-*"
    print(f"Weights & Biases: {written} runs written, {kept} were up to date, {where}")


def _known_mode() -> Any:
    """Return the mode of the environment; without one, offline where no login is known."""
    import wandb

    if given := os.environ.get("WANDB_MODE"):
        if (mode := MODES.get(given, given)) not in (*get_args(Mode), "disabled"):
            raise BenchError(f"WANDB_MODE is {given!r}; allowed are online, offline and disabled")
        return mode
    try:
        wandb.login(verify=False)  # asks for nothing, since stdin is no terminal
    except wandb.errors.UsageError:
        return "offline"
    return "online"


def _read_digests(folder: Path, target: Sequence[str]) -> dict[str, str]:
    """Return id -> digest of the runs at a target; none if the last mirror had another target."""
    try:
        state = read_json(folder / STATE, MirrorState)
    except DamagedRecord:
        return {}
    if state["target"] != target:
        return {}
    digests: dict[str, str] = state["digests"]
    if target[0] == "online":
        return digests
    return {
        id_: digest for id_, digest in digests.items() if any(folder.glob(f"offline-run-*-{id_}"))
    }


def _id_of(run: MirroredRun, owner: str) -> str:
    """Return the id of a run at W&B: writing one of the same id takes the place of the old one."""
    key = "/".join([owner, run.tags["sweep"], run.id, run.tags["variant"]])
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _files(folder: Path, id_: str) -> set[Path]:
    return {*folder.glob(f"*run-*-{id_}")}


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path)


def _write(run: MirroredRun, id_: str, job: Job, mode: Any) -> None:
    import wandb

    tags = run.tags
    named = [tags["sweep"], tags["variant"], tags["state"], tags["commit"]]
    named += [f"seed {tags['seed']}"] if tags["seed"] else []
    quiet = {"silent": True, "console": "off", "disable_git": True, "disable_code": True}
    quiet |= {"x_disable_stats": True, "x_disable_meta": True, "x_save_requirements": False}
    quiet |= {"init_timeout": MOST_SECONDS_TO_BEGIN}
    settings = {key: value for key, value in quiet.items() if key in wandb.Settings.model_fields}
    logged = wandb.init(
        mode=mode,
        dir=job.sweep.folder,
        project=job.project,
        id=id_,
        name=run.name,
        group=tags["sweep"],
        job_type=tags["variant"][:LONGEST_TAG],
        tags=list(dict.fromkeys(tag[:LONGEST_TAG] for tag in named if tag)),
        config={
            **run.config,
            **{f"bench.{key}": value for key, value in tags.items()},
            "bench.results": job.results_id,
        },
        notes=run.note,
        settings=wandb.Settings(**settings),
    )
    steps: dict[int, dict[str, Any]] = {}
    for key, value, step in run.metrics:
        steps.setdefault(step, {})[key] = value
    for path in run.files:
        if path.suffix == ".png":
            with suppress(OSError):  # a damaged picture
                picture = wandb.Image(Image.open(path))
                steps.setdefault(max(steps, default=0), {})[path.stem] = picture
    for step in sorted(steps):
        logged.log(steps[step], step=step)
    logged.finish(exit_code=0 if run.state == "done" else 1)


if __name__ == "__main__":
    try:
        do_job()
    except Exception as error:
        sys.exit(describe_error(error))  # as the last line of stderr
