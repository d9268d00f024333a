"""Choose the switches of a run.

None if `deterministic`; else those demanded, those recorded, none on a CPU, or the measured ones.
"""

import gc
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from bench.console import say
from bench.errors import BenchError
from bench.process.worker import Worker
from bench.record.provenance import EXECUTION, note_execution, read_execution
from bench.spec.run_settings import Training
from bench.spec.switches import EAGER, SwitchSet
from bench.training.gradient_accumulation import allocator_message
from bench.training.switch_trials import SwitchDecision, choose_switches
from bench.training.trainer import Trainer

_log = logging.getLogger(__name__)


def settle_switches(
    training: Training,
    folder: Path,
    worker: Worker,
    start: Callable[[SwitchSet], Trainer],
    label: str,
) -> SwitchSet:
    """Return the switches that a run is executed with, and record them in its folder.

    Recorded switches stay, so that a resumed run goes on as it began, unless the user demands
    others or the device is of another kind now. On a CPU the default is fixed: measurements could
    choose differently from run to run, which changes last digits. `start` makes a new trainer.
    """
    device, demanded = worker.device, worker.options.switches
    if training.deterministic:
        decision = SwitchDecision(EAGER, ("deterministic",))
    elif demanded is not None:
        demanded.check_device(device.type)
        decision = SwitchDecision(demanded, ("demanded",))
    elif (recorded := _recorded(folder, device)) is not None:
        return recorded
    elif device.type != "cuda":
        decision = SwitchDecision(EAGER, ("the default on a CPU",))
    else:
        try:
            decision = choose_switches(
                start,
                iterations=training.iterations,
                precision=training.precision,
            )
        except (RuntimeError, MemoryError) as error:
            if (reason := allocator_message(error)) is None:
                raise
            decision = SwitchDecision(EAGER, (f"no room to try anything: {reason}",))
        gc.collect()
        torch.cuda.empty_cache()
        say(f"  {label}: executed as {decision}")
    _log.info("executed as %s", decision)
    entry = {"on": decision.switches.names, "device": device.type, "why": list(decision.reasons)}
    note_execution(folder, switches=entry)
    return decision.switches


def _recorded(folder: Path, device: torch.device) -> SwitchSet | None:
    """Return the switches that the run began with, if that was on such a device."""
    entry = read_execution(folder).get("switches", {})
    if entry.get("device") != device.type:
        return None
    try:
        return SwitchSet.of(entry["on"])
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{folder / EXECUTION} names switches that do not exist; delete it to choose again"
        ) from error
