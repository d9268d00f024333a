"""Choose the switches of a run.

None if `deterministic`; else those demanded, those recorded, none on a CPU, or the measured ones. A
measurement is kept beside the data sets, so that the seeds of a sweep are measured once, and all of
them are executed alike.
"""

import gc
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from bench.console import say, warn
from bench.data.base import DataSpec, data_root
from bench.errors import BenchError, DamagedRecord
from bench.execution.source_files import sources_of
from bench.process.worker import Worker
from bench.record.files import read_json, write_json
from bench.record.provenance import EXECUTION, HARNESS, note_switches, read_execution
from bench.record.run_folder import RunFolder
from bench.record.shapes import KeptSwitches
from bench.spec.run_config import RunConfig, digest
from bench.spec.switches import EAGER, SwitchSet
from bench.training.gradient_accumulation import allocator_message
from bench.training.switch_trials import SwitchDecision, choose_switches
from bench.training.trainer import Trainer

_log = logging.getLogger(__name__)


def settle_switches(
    run: RunConfig,
    spec: DataSpec,
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
    is_lost = RunFolder(folder).has_checkpoint and not read_execution(folder).get("switches")
    if run.training.deterministic:
        decision = SwitchDecision(EAGER, ("deterministic",))
    elif demanded is not None:
        demanded.check_device(device.type)
        decision = SwitchDecision(demanded, ("demanded",))
    elif (recorded := recorded_switches(folder, device)) is not None:
        return recorded
    elif device.type != "cuda":
        decision = SwitchDecision(EAGER, ("the default on a CPU",))
    else:
        decision = _measured(run, spec, start, device)
        say(f"  {label}: executed as {decision}")
    if is_lost:
        warn(
            f"{label}: {folder / EXECUTION} is lost or damaged, so how the run was executed up to "
            f"its checkpoint is not known; it goes on as {decision}"
        )
        decision = replace(decision, reasons=(*decision.reasons, "its record before was lost"))
    _log.info("executed as %s", decision)
    note_switches(folder, decision.switches.names, device.type, decision.reasons)
    return decision.switches


def _measured(
    run: RunConfig, spec: DataSpec, start: Callable[[SwitchSet], Trainer], device: torch.device
) -> SwitchDecision:
    """Return the choice of an equal run on such a device, or measure now."""
    kept = data_root() / "switches" / f"{_key(run, spec, device)}.json"
    if kept.exists():
        with suppress(DamagedRecord, TypeError):  # what is damaged is measured again
            found = read_json(kept, KeptSwitches)
            return SwitchDecision(SwitchSet.of(found["on"]), tuple(found["why"]))
    try:
        decision = choose_switches(
            start, iterations=run.training.iterations, precision=run.training.precision
        )
    except (RuntimeError, MemoryError) as error:
        if (reason := allocator_message(error)) is None:
            raise
        return SwitchDecision(EAGER, (f"no room to try anything: {reason}",))
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    with suppress(OSError):
        write_json(kept, {"on": decision.switches.names, "why": list(decision.reasons)})
    return decision


def _key(run: RunConfig, spec: DataSpec, device: torch.device) -> str:
    """Return the hash of all that a measurement depends on: not seeds, weights and images."""
    others = {"seed", "data", "unlabeled", "start_from"}
    training = run.training.model_dump(mode="json", exclude=others)
    sources = sources_of(run)
    name = torch.cuda.get_device_name(device)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    versions = torch.__version__, torch.version.cuda, cudnn
    code = [sources["model"], sources[HARNESS]]
    return digest([training, spec.shape, spec.classes, spec.attributes, name, versions, code])


def recorded_switches(folder: Path, device: torch.device) -> SwitchSet | None:
    """Return the switches that the run began with, if that was on such a device."""
    entry = read_execution(folder).get("switches") or {}
    if entry.get("device") != device.type:
        return None
    try:
        return SwitchSet.of(entry["on"])
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{folder / EXECUTION} names switches that do not exist; delete it to choose again"
        ) from error
