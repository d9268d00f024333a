"""Speed of training on this machine, in every mode of execution that it has.

Clocks and other programs change during a measurement, so all modes take turns, each with the number
of iterations that fills one, and the median of the ratios of the rounds is reported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch

from bench.data.base import DataSet
from bench.errors import describe_error
from bench.perf.limits import time_limit
from bench.perf.plain_loop import PlainLoop
from bench.perf.timed_modes import ROUNDS, TimedMode
from bench.perf.training_processes import times_one_process
from bench.process.cores import usable_cores
from bench.process.worker import Worker
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.cost import count_cost
from bench.training.device import cpu_threads, seconds_per_iteration
from bench.training.trainer import Trainer

PLAIN, EAGER_MODE = "plain loop", "eager"

Start = Callable[[Training, DataSet, torch.device], PlainLoop | Trainer]


@dataclass
class Mode(TimedMode):
    """A mode of training one model; `precision` is that of most of its arithmetic."""

    start: Start
    precision: str = "float32"
    threads: int | None = None
    steps: int = 0  # iterations done

    def started(
        self, training: Training, data: DataSet, device: torch.device
    ) -> Callable[[int], float]:
        """Start the training; return what times so many of its iterations."""
        return partial(self._iterate, self.start(training, data, device))

    def _iterate(self, loop: PlainLoop | Trainer, count: int) -> float:
        """Return the mean seconds of iterations, after those whose batches lay ready."""
        ready = -(-loop.ahead // loop.draws) if isinstance(loop, PlainLoop) else 0
        with cpu_threads(self.threads or torch.get_num_threads()):
            for step in range(ready):
                loop.iterate(self.steps + step)
            first, self.steps = self.steps + ready, self.steps + ready + count
            return seconds_per_iteration(loop.iterate, loop.device, first, count)


def time_training(
    run: RunConfig,
    worker: Worker,
    *,
    compiling: bool,
    limit: float,
    ceilings: Sequence[Mapping[str, Any]] = (),
    keep: Callable[[dict[str, Any]], None] = lambda timed: None,
) -> dict[str, Any]:
    """Time the training of a model in every mode; return plain data with a row for each.

    `limit` is the most seconds of a mode, its start included; `ceilings` is what `measure_ceilings`
    returned. `keep` is called with what is known so far, after every start of a mode and every
    round.
    """
    data, device, training = worker.context(run).data, worker.device, run.training
    counted = {entry.metric: entry.value for entry in count_cost(training, data.spec)}
    multiply_adds = counted["multiply_adds_per_iteration"]
    with worker.computing(data.spec):
        threads = torch.get_num_threads()
        timed: dict[str, Any] = {
            "model": training.model,
            "batch_size": training.batch_size,
            "threads": threads,
            "images_per_iteration": counted["images_per_iteration"],
            "flop_per_iteration": multiply_adds and 2 * multiply_adds,
        }
        modes = modes_of(device, compiling)

        def known() -> dict[str, Any]:
            return timed | {"rows": [_row(mode, modes, timed, ceilings) for mode in modes]}

        try:
            for mode in modes:
                mode.begin(partial(mode.started, training, data, device), limit)
                keep(known())
            for _ in range(ROUNDS):
                for mode in modes:
                    mode.take_turn(limit)
                keep(known())
        finally:
            for mode in modes:
                mode.end()
        timed = known()
        if device.type == "cpu" and threads == 1 and usable_cores() > 1:
            timed["rows"].append(_two_processes(modes, training, data, limit))
    return timed


def _row(
    mode: Mode,
    modes: Sequence[Mode],
    timed: Mapping[str, Any],
    ceilings: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a mode as plain data, compared with the plain loop, eager mode and its ceiling."""
    bases = {m.name.replace(" ", "_"): m for m in modes if m.name in (PLAIN, EAGER_MODE)}
    row = mode.row(timed["images_per_iteration"], **bases)
    if "seconds_per_iteration" not in row or (flop := timed["flop_per_iteration"]) is None:
        return row
    row["flop_per_second"] = flop / row["seconds_per_iteration"]
    for ceiling in ceilings:
        at = ceiling["precision"], ceiling["threads"]
        if at == (mode.precision, mode.threads or timed["threads"]):
            row["share_of_ceiling"] = row["flop_per_second"] / ceiling["flop_per_second"]
    return row


def _two_processes(
    modes: Sequence[Mode], training: Training, data: DataSet, limit: float
) -> dict[str, Any]:
    """Return the row of two processes; a turn has as many iterations as that of eager mode."""
    eager = next(mode for mode in modes if mode.name == EAGER_MODE)
    row: dict[str, Any] = {"mode": "two processes", "reason": eager.reason}
    if eager.reason:
        return row
    try:
        with time_limit(limit):
            row["times_one_process"] = times_one_process(training, data, eager.count, ROUNDS)
    except Exception as error:
        row["reason"] = describe_error(error)
    return row


def modes_of(device: torch.device, compiling: bool) -> list[Mode]:
    """Return the modes of a device; `compiling` adds those that compile for a minute a model."""
    plain = Mode(PLAIN, PlainLoop)
    in_bfloat16 = partial(_start_in, "bfloat16", PlainLoop)
    plain_bfloat16 = Mode(f"{PLAIN}, bfloat16", in_bfloat16, "bfloat16")
    eager = _trained()
    # A compilation forgets earlier ones, so what calls compiled code after its start comes last.
    last = [_trained("compile")] * compiling
    if device.type == "cpu":
        cores = usable_cores()
        return [
            plain,
            plain_bfloat16,
            eager,
            _trained("channels_last"),
            _trained(precision="bfloat16"),
            _trained("channels_last", precision="bfloat16"),
            *[Mode(f"{cores} threads", start_trainer, threads=cores)] * (cores > 1),
            *last,
        ]
    switches = ("graphs", "autotune", "channels_last")
    together = [switches, (*switches, "compile")] if compiling else [switches]
    return [
        plain,
        Mode(f"{PLAIN}, torch's default of tf32", partial(PlainLoop, tf32=True), "tf32"),
        plain_bfloat16,
        eager,
        *map(_trained, switches),
        *[_trained(*s, precision=p) for s in together for p in ("float32", "tf32", "bfloat16")],
        *last,
    ]


def _trained(*names: str, precision: str = "float32") -> Mode:
    """Return our trainer with some switches."""
    switches = SwitchSet.of(list(names))
    name = str(switches) if precision == "float32" else f"{switches}, {precision}"
    start = partial(start_trainer, switches=switches)
    return Mode(name, partial(_start_in, precision, start), precision)


def _start_in(
    precision: str, start: Start, training: Training, data: DataSet, device: torch.device
) -> PlainLoop | Trainer:
    """Start a training in that precision."""
    return start(training.model_copy(update={"precision": precision}), data, device)


def start_trainer(
    training: Training,
    data: DataSet,
    device: torch.device,
    switches: SwitchSet = EAGER,
) -> Trainer:
    """Return a prepared trainer of a training as it is, which is not to write anything."""
    trainer = Trainer(training, data, Path(gettempdir()), device, switches=switches)
    trainer.prepare()
    return trainer
