"""Throughput of several seeds of one model on one device, in every mode of training them there.

The modes take turns. On a GPU all of them replay CUDA graphs, so they differ in nothing else.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from bench.data.base import DataSet
from bench.perf.timed_modes import ROUNDS, TimedMode
from bench.perf.training_processes import TrainingProcesses
from bench.perf.training_times import start_trainer
from bench.process.worker import Worker
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.cost import count_cost
from bench.training.cuda_streams import CudaLane
from bench.training.device import seconds_per_iteration
from bench.training.switch_trials import CHECKED, differences
from bench.training.trainer import Trainer

ONE_BY_ONE = "one by one"
Timed = Callable[[int], float]
"""Does so many iterations and returns the mean seconds of one."""


def time_seeds(
    run: RunConfig,
    seeds: int,
    worker: Worker,
    *,
    limit: float,
    keep: Callable[[dict[str, Any]], None] = lambda timed: None,
) -> dict[str, Any]:
    """Time that many seeds of a run in every mode; return plain data with a row for each.

    Seconds are those of an iteration of any seed, so that N seeds beside each other that are each
    as fast as one alone take an Nth. `limit` is the most seconds of a mode, its start included;
    `keep` is called with what is known so far, after every start and every round.
    """
    data, device, training = worker.context(run).data, worker.device, run.training
    trainings = [training.model_copy(update={"seed": seed}) for seed in range(seeds)]
    on_gpu = device.type == "cuda"
    switches = SwitchSet(graphs=True) if on_gpu else EAGER
    counted = {entry.metric: entry.value for entry in count_cost(training, data.spec)}
    images = round(counted["images_per_iteration"] or 0)  # every model has stages
    one_by_one, processes = TimedMode(ONE_BY_ONE), TimedMode(f"{seeds} processes")
    graphs = TimedMode(f"{seeds} graphs in one process")
    modes = [one_by_one, processes, graphs]
    with worker.computing(data.spec), ExitStack() as stack:
        timed: dict[str, Any] = {
            "model": training.model,
            "batch_size": training.batch_size,
            "precision": training.precision,
            "seeds": seeds,
            "switches": switches.names,
            "threads": torch.get_num_threads(),
            "images_per_iteration": images,
        }

        def known() -> dict[str, Any]:
            rows = [mode.row(images, one_by_one=one_by_one) for mode in modes]
            best = max(rows, key=lambda row: row.get("times_one_by_one", 0.0))
            return timed | {"rows": rows, "fastest": best["mode"]}

        def begin(mode: TimedMode, start: Callable[[], Timed]) -> None:
            mode.begin(start, limit)
            keep(known())

        begin(one_by_one, partial(_one_by_one, training, data, device, switches))
        opened = TrainingProcesses(trainings, data, str(device), switches)
        begin(processes, partial(_in_processes, stack, opened, seeds))
        if on_gpu:
            begin(graphs, partial(_in_one_process, trainings, data, device, timed))
        else:
            graphs.reason = f"CUDA graphs need a CUDA device, not {device.type}"
        for _ in range(ROUNDS):
            for mode in modes:
                mode.take_turn(limit)
            keep(known())
        return known()


def _one_by_one(
    training: Training, data: DataSet, device: torch.device, switches: SwitchSet
) -> Timed:
    """Return what trains one seed; the next would take as long."""
    return _timing(start_trainer(training, data, device, switches).iterate, device, 1)


def _in_processes(stack: ExitStack, processes: TrainingProcesses, seeds: int) -> Timed:
    """Start the processes, which end with the stack; return what trains all of them."""
    stack.enter_context(processes)
    return lambda count: processes.seconds(max(1, count // seeds), seeds) / seeds


def _timing(
    iterate: Callable[[int], None], device: torch.device, seeds: int, first: int = 0
) -> Timed:
    """Return what trains some iterations of all seeds together, and the mean seconds of one."""
    done = first

    def timed(count: int) -> float:
        nonlocal done
        each = max(1, count // seeds)
        begin, done = done, done + each
        return seconds_per_iteration(iterate, device, begin, each) / seeds

    return timed


def _in_one_process(
    trainings: Sequence[Training], data: DataSet, device: torch.device, timed: dict[str, Any]
) -> Timed:
    """Capture the graphs of all seeds, check them, and return what replays them side by side.

    How far the first and the last seed come out from where they do alone is noted in `timed`: what
    graphs share by mistake (random numbers, a workspace) would show there.
    """
    together = SideBySide(trainings, data, device)
    for step in range(CHECKED):
        together.iterate(step)
    distances = []
    for index in (0, -1):
        alone = start_trainer(trainings[index], data, device, SwitchSet(graphs=True))
        for step in range(CHECKED):
            alone.iterate(step)
        torch.cuda.synchronize(device)
        moved = differences(weights(alone), weights(together.trainers[index]))
        distances.append(float(moved.max()))
    timed["difference_from_alone"] = max(distances)
    return _timing(together.iterate, device, len(trainings), CHECKED)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    """Return the parameters that a trainer has now."""
    return [parameter.detach() for parameter in trainer.model.parameters()]


class SideBySide:
    """Trainers of one process whose iterations are CUDA graphs on streams of their own."""

    def __init__(self, trainings: Sequence[Training], data: DataSet, device: torch.device) -> None:
        self._lanes = [CudaLane(device) for _ in trainings]
        self.trainers: list[Trainer] = []
        for lane, training in zip(self._lanes, trainings, strict=True):
            with lane.used():
                self.trainers.append(start_trainer(training, data, device, SwitchSet(graphs=True)))
            torch.cuda.synchronize(device)

    def iterate(self, step: int) -> None:
        """Launch one iteration of every trainer."""
        for lane, trainer in zip(self._lanes, self.trainers, strict=True):
            with lane.used():
                trainer.iterate(step)
