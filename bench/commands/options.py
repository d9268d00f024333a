"""Options that several commands share, and what is made of them."""

import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click
from click.core import ParameterSource

from bench.commands.tracker_options import TRACKER_WORDS, TRACKERS, TrackerOptions
from bench.errors import (
    BenchError,
    Interrupted,
    SpecError,
    describe_system_error,
    mask_passwords,
    shortened,
)

if TYPE_CHECKING:
    from bench.process.worker import Worker
    from bench.record.records import Records
    from bench.reporting.tables.families import Family

Command = TypeVar("Command", bound=Callable[..., Any])


class HomePath(click.Path):
    """A path in which `~` is the home folder, also in quotes and in variables."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path."""
        return super().convert(os.path.expanduser(value), param, ctx)


FOLDER = HomePath(path_type=Path, file_okay=False)
FILE = HomePath(path_type=Path, dir_okay=False)
EXISTING_FILE = HomePath(path_type=Path, exists=True, dir_okay=False)

RESULTS = click.option(
    "--results",
    type=FOLDER,
    default="results",
    envvar="BENCH_RESULTS",
    show_envvar=True,
    help="Root folder of all results.",
)
SEED = click.IntRange(0, 2**63 - 1)


SAMPLE_SEED = click.option(
    "--sample-seed",
    type=SEED,
    metavar="N",
    help="Sampling seed.  [default: the run's seed]",
)
SAMPLING = click.option(
    "--sampling", help="Sampling options, in YAML: {guidance: 2.0}.  [default: the model's]"
)


class Finite(click.FloatRange):
    """A number of at least 0; neither NaN nor infinite."""

    name = "number"

    def __init__(self) -> None:
        super().__init__(0, 1e9)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; NaN lies in every range."""
        number = float(super().convert(value, param, ctx))
        if number != number:
            self.fail(f"{value} is not a number", param, ctx)
        return number


class Device(click.ParamType):  # type: ignore[type-arg]
    """A name of a device; whether it is there is seen where it is used."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            self.fail(f"{shortened(value)!r} is not one of {DEVICES}", param, ctx)
        return str(value)


DEVICES = "auto, cpu, cuda, cuda:1, ..."
DEVICE = click.option("--device", type=Device(), default="auto", help=DEVICES)
THREADS = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    help="CPU threads per run.  [default: 1 for small images, else an equal share of the cores]",
)
WEIGHTS = {
    "inception": "the Inception network, for metrics that ask for it",
    "lpips": "torchvision's AlexNet, for the LPIPS of reconstructions",
    "dinov2": "DINOv2 ViT-L/14, for metrics with `extractor: dinov2`",
    "clip": "OpenAI's CLIP ViT-L/14 at 336 pixels, for `cmmd` and `extractor: clip`",
}
"""Pretrained networks: name -> what an option says of the file of its weights."""


def weights_options(kind: click.Path) -> list[Callable[[Any], Any]]:
    """Return the options that name files of pretrained networks."""
    return [
        click.option(
            f"--{name}-weights",
            type=kind,
            envvar=f"BENCH_{name.upper()}_WEIGHTS",
            show_envvar=True,
            help=f"File of {what}.",
        )
        for name, what in WEIGHTS.items()
    ]


def given_weights(values: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files of pretrained networks that options name, by network."""
    return {name: path for name in WEIGHTS if (path := values[f"{name}_weights"]) is not None}


def spec_argument(metavar: str) -> Callable[[Any], Any]:
    """Return the argument that names a sweep file or a tuning file."""
    return click.argument("spec", type=click.Path(path_type=Path), metavar=metavar)


WORKER = (
    RESULTS,
    DEVICE,
    THREADS,
    *weights_options(EXISTING_FILE),
)
EXECUTION = (
    click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]..."),
    click.option("--dry-run", is_flag=True, help="Show what would be done, then stop."),
    click.option(
        "--jobs",
        "-j",
        type=click.IntRange(1, 1024),
        help="Runs at a time.  [default: by the executor; 1 where none is named]",
    ),
    click.option(
        "--executor",
        help="Where runs are executed, a name or {name: ..., option: ...}; see `bench list "
        "executors`.  [default: local if there are several jobs, else inline]",
    ),
    *WORKER,
    click.option(
        "--speed",
        help="How runs are executed: auto, eager, or some of graphs, autotune, "
        "channels_last, compile, separated by commas; does not change what is learned.  "
        "[default: auto]",
    ),
    click.option(
        "--allow-code-change/--refuse-code-change",
        default=None,
        help="Whether to use results made by code that has changed since.  [default: refuse]",
    ),
    click.option(
        "--checkpoint-seconds", type=Finite(), default=30.0, help="Time between checkpoints."
    ),
    *TRACKERS,
)


class WorkerOptions(TypedDict):
    """The values of the options `WORKER`; `given_weights` reads those of `weights_options`."""

    results: Path
    device: str
    threads: int | None


class ExecutionOptions(WorkerOptions, TrackerOptions):
    """The values of the arguments and options `EXECUTION`."""

    spec: Path
    overrides: tuple[str, ...]
    dry_run: bool
    jobs: int | None
    executor: str | None
    speed: str | None
    allow_code_change: bool | None
    checkpoint_seconds: float


TO = click.option("--to", type=FOLDER, help="Folder to write to.  [default: next to the results]")


def tell_changed_code(path: Path, *, refuse: bool = False) -> None:
    """Warn, or refuse, if the folder of a trained run was made by other code than is here now."""
    from bench.console import warn
    from bench.execution.code_change import changed_since_training

    if not (path / "model.pt").exists() or not (path / "config.json").exists():
        return
    if text := changed_since_training(path):
        if refuse:
            raise BenchError(f"{text}; they do not belong in its record")
        warn(text)


def chosen_comparisons(text: str | None, records: "Records") -> "Family | None":
    """Return the comparisons of the option `--compare`, a mapping in YAML or a reference row."""
    from bench.reporting.tables.families import Family
    from bench.spec.comparisons import Comparisons
    from bench.spec.located import Located
    from bench.spec.located_yaml import parse_value
    from bench.spec.validation import validate

    if text is None:
        return None
    value = parse_value(text, "--compare")
    given = Located.of({"reference": value} if isinstance(value, str) else value, "--compare")
    with given.locating_errors():
        asked = validate(Comparisons, given.value, ())
    for key, problem in asked.contradictions():
        raise given.error(key, problem)
    is_other = any(sweep.compare is not None for sweep in records.sweeps)
    instead = ", in place of those that the sweep planned" if is_other else ""
    return Family(asked, f"chosen on the command line{instead}")


@contextmanager
def writing_to(target: Path) -> Iterator[None]:
    """Say what cannot be written to a folder or file, and why."""
    try:
        yield
    except OSError as error:
        what = describe_system_error(error) or f"{error.strerror}: {error.filename or target}"
        raise BenchError(f"cannot write to {target}: {what}; --to names another place") from error


def refuse_existing(target: Path, option: str) -> None:
    """Raise a `SpecError` where a file would be overwritten."""
    if target.exists():
        raise SpecError("already exists; name a new one", where=f"{option} {target}")


def add(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command several options, listed in this order by --help."""
    return lambda command: functools.reduce(lambda c, option: option(c), options[::-1], command)


def make_worker(command: str, values: WorkerOptions, **further: Any) -> "Worker":
    """Return a worker as the command line asks for it; `command` is what the record keeps of it."""
    from bench.process.worker import Worker

    return Worker(
        values["device"],
        command=command,
        weights=given_weights(values),
        threads=values["threads"],
        **further,
    )


def make_training_worker(
    values: ExecutionOptions, **further: Any
) -> tuple["Worker", Callable[[], Any]]:
    """Return a worker that trains, and a function that makes the executor for such workers."""
    from bench.process.worker import RunOptions
    from bench.spec.components import construct
    from bench.spec.preferences import Preferences, load_preferences

    keys = Preferences.model_fields.keys() - {"tracker"}
    given = {key: values[key] for key in keys}  # type: ignore[literal-required]
    preferences = load_preferences(**given)
    run_options = RunOptions(
        checkpoint_seconds=values["checkpoint_seconds"],
        allow_code_change=preferences.allow_code_change,
        switches=preferences.switches,
        **further,
    )
    worker = make_worker(reproducing_command(), values, options=run_options)
    executor = preferences.executor or {}
    if values["dry_run"] and executor.get("name") in ("inline", "local"):
        _ = worker.device  # which elsewhere may be there
    return worker, lambda: construct("executor", executor, preferences.jobs, worker)


@contextmanager
def stoppable(worker: "Worker") -> Iterator[None]:
    """Exit with status 130 if a signal stops the work, and say which command continues it."""
    from bench.console import say

    try:
        with worker.stop.listening():
            yield
    except (Interrupted, KeyboardInterrupt) as error:
        say(f"{str(error) or 'stopped'}; continue with: {typed_command()}")
        sys.exit(130)


def typed_command(*more: str) -> str:
    """Return the command line as it was typed, quoted for a shell, with further words.

    Passwords are masked, since it is shown and recorded.
    """
    return shlex.join(["bench", *map(mask_passwords, click.get_current_context().obj), *more])


NOT_RECORDED = ("dry_run", "retry_failed", "allow_code_change", *TRACKER_WORDS)


def reproducing_command(**instead: Any) -> str:
    """Return the command line that does the same again, with values of environment variables.

    Passwords are masked, since it is recorded.
    `instead` are values of parameters that are recorded otherwise; None leaves one out.
    """
    context = click.get_current_context()
    words, options = ["bench", context.info_name or ""], list[str]()
    for parameter in context.command.params:
        name = str(parameter.name)
        value = instead.get(name, context.params.get(name))
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(parameter, click.Argument):
            words += map(str, values)
        elif name not in NOT_RECORDED and not (value is None or value is False) and is_given(name):
            flag = max(parameter.opts, key=len)
            is_flag = getattr(parameter, "is_flag", False)
            options += [part for v in values for part in ((flag,) if is_flag else (flag, str(v)))]
    return shlex.join(map(mask_passwords, [*words, *options]))


def is_given(name: str) -> bool:
    """Return whether a parameter is from the command line or the environment."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def load_results(results: Path, sweeps: Sequence[str]) -> "Records":
    """Return the records of sweeps, or of all where none is named; refuse to show nothing."""
    from bench.record.records import load_records

    records = load_records(results, sweeps or None)
    if not records.runs:
        raise BenchError(f"there is nothing in {results} yet; start with: bench run quickstart")
    return records
