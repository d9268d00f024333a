"""Which switches a run is executed with: recorded, demanded, fixed or measured, in this order."""

import gc
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.console import say
from bench.errors import BenchError
from bench.process.worker import Worker
from bench.record.execution_notes import NAME, note_execution, read_execution
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.gradient_accumulation import is_out_of_memory, memory_reason
from bench.training.switch_trials import Choice, choose
from bench.training.timing import wait
from bench.training.trainer import Trainer

_log = logging.getLogger(__name__)


def settle_switches(
    training: Training,
    folder: Path,
    worker: Worker,
    start: Callable[[SwitchSet], Trainer],
    label: str,
) -> SwitchSet:
    """Return what a run is executed with, and record it in its folder.

    What is recorded stays, so that a resumed run goes on as it began, unless someone demands
    something else or the device is of another kind now. On a CPU the default is fixed: a
    measurement could choose differently from run to run, and with it the last digits.

    Args:
        training: The configuration.
        folder: Folder of the run.
        worker: The device, and what is demanded.
        start: Makes a trainer of the run as it stands before the first iteration.
        label: What to call the run on the console.

    Returns:
        The switches.

    Raises:
        BenchError: If what is demanded cannot be done on this device.
    """
    device, demanded = worker.device, worker.options.switches
    if training.deterministic:
        choice = Choice(EAGER, ("deterministic",))
    elif demanded is not None:
        demanded.refuse(device.type)
        choice = Choice(demanded, ("demanded",))
    elif (before := _recorded(folder, device)) is not None:
        return before
    elif device.type != "cuda":
        choice = Choice(EAGER, ("the default on a CPU",))
    else:
        try:
            choice = choose(
                lambda switches: TrainerTrial(start(switches)),
                iterations=training.iterations,
                precision=training.precision,
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            choice = Choice(EAGER, (f"no room to try anything: {memory_reason(error)}",))
        gc.collect()
        torch.cuda.empty_cache()
        say(f"  {label}: executed as {choice}")
    _log.info("executed as %s", choice)
    entry = {"on": choice.switches.names, "device": device.type, "why": list(choice.reasons)}
    note_execution(folder, switches=entry)
    return choice.switches


def _recorded(folder: Path, device: torch.device) -> SwitchSet | None:
    """Return what the run began with, if that was on such a device."""
    entry = read_execution(folder).get("switches", {})
    if entry.get("device") != device.type:
        return None
    try:
        return SwitchSet.of(entry["on"])
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{folder / NAME} names switches that do not exist; delete it to choose anew"
        ) from error


class TrainerTrial:
    """A training that is thrown away, to see what switches do.

    Args:
        trainer: Before its first iteration.
    """

    def __init__(self, trainer: Trainer) -> None:
        trainer.prepare()
        self._trainer = trainer
        self._start = {p: p.detach().clone() for p in trainer.model.parameters()}

    def iterate(self, step: int) -> None:
        """Do one iteration."""
        self._trainer.iterate(step)

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        wait(self._trainer.device)

    def gradients(self) -> list[Tensor]:
        """Return the first and second moments of each player."""
        found = []
        for optimizer in self._trainer.optimizers.values():
            states = optimizer.torch_optimizer.state.values()
            for moment in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
                parts = [state[moment].flatten() for state in states if moment in state]
                if parts:
                    found.append(torch.cat(parts).cpu())
        return found

    @torch.no_grad()
    def results(self) -> list[Tensor]:
        """Return the mean of each term, and how far each player has moved."""
        losses = [stage.take() for stage in self._trainer.losses.values()]
        distances = [
            torch.stack([(p - self._start[p]).norm() for p in optimizer.parameters]).norm()
            for optimizer in self._trainer.optimizers.values()
        ]
        terms = torch.tensor([value for stage in losses for value in stage.values()])
        return [terms, torch.stack(distances).cpu()]
