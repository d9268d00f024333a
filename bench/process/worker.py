"""The worker of a process: device, loaded data, CPU threads and stop signal."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.data.base import DataSpec, load_data, made_data_root
from bench.errors import BenchError, DeviceLost, first_line, short_hash
from bench.metrics.base import Context
from bench.process.cores import usable_cores
from bench.process.memory import keep_freed_memory
from bench.process.stop_signal import StopSignal
from bench.process.turns import Turn
from bench.spec.components import construct
from bench.spec.run_config import RunConfig, canonical_json
from bench.spec.switches import SwitchSet
from bench.training.device import cpu_threads
from bench.training.gradient_accumulation import allocator_message


@dataclass(frozen=True)
class RunOptions:
    """Options of the user for all runs of a command; no id depends on them."""

    checkpoint_seconds: float = 30.0
    retry_failed: bool = False
    allow_code_change: bool = False  # use results of another model, data set or metric
    switches: SwitchSet | None = None  # how trainings are executed; None: chosen for the device


@dataclass
class Worker:
    """The device, loaded data, threads and stop signal that all runs of a process share.

    Sent to another process, it arrives without loaded data, and finds the device there. `weights`
    are files of downloaded networks, by name; `command` is recorded as provenance; `fingerprints`
    are those of data sets that were loaded before it was sent, which must be the same there. With a
    `turn`, other threads of this process work when it is passed on.
    """

    device_name: str = "auto"  # or cpu, cuda, cuda:1, ...
    command: str = ""
    weights: dict[str, Path] = field(default_factory=dict)
    threads: int | None = None  # None: by the size of the examples
    options: RunOptions = RunOptions()
    stop: StopSignal = field(default_factory=StopSignal)
    fingerprints: dict[str, str] = field(default_factory=dict)
    turn: Turn | None = None
    _contexts: dict[str, Context] = field(default_factory=dict)

    @cached_property
    def device(self) -> torch.device:
        """The device of that name, ready for use."""
        if self.device_name == "auto":
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        else:
            try:
                device = torch.device(self.device_name)
                torch.empty(1, device=device)
            except (RuntimeError, AssertionError) as error:
                reason = str(error).splitlines()[0]
                raise BenchError(f"--device {self.device_name}: {reason}") from error
        if device.type == "cuda":
            _prepare_cuda(device)
        return device

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name != "device"}
        return state | {"stop": StopSignal(), "_contexts": {}}

    def context(self, run: RunConfig) -> Context:
        """Return the data of a run with its caches, without a model."""
        context = self.context_of(run.training.data)
        if run.training.unlabeled is None:
            return context
        extra = self.context_of(run.training.unlabeled).data
        data = replace(
            context.data, unlabeled=extra.train.x, unlabeled_fingerprint=extra.fingerprint
        )
        return replace(context, data=data)

    def context_of(self, component: Mapping[str, Any]) -> Context:
        """Return a data set with its caches, loaded once in this process, without a model."""
        key = canonical_json(component)
        if key not in self._contexts:
            try:
                data = load_data(construct("dataset", component))
            except (RuntimeError, MemoryError) as error:
                if (reason := allocator_message(error)) is None:
                    raise
                what = f"the data set {component['name']} does not fit into memory"
                raise BenchError(f"{what}: {reason}") from error
            expected = self.fingerprints.setdefault(key, data.fingerprint)
            if data.fingerprint != expected:
                raise BenchError(
                    f"the data set {data.spec.name!r} has the fingerprint "
                    f"{short_hash(data.fingerprint)} here and now, and had {short_hash(expected)} "
                    "where this command began"
                )
            self._contexts[key] = Context(data, self.device, made_data_root(), self.weights)
        return self._contexts[key]

    def threads_for(self, spec: DataSpec, recorded: int | None = None) -> int:
        """Return the CPU threads for such data.

        A run keeps those that are `recorded` of it where there are as many processors, since last
        digits depend on them: another number of jobs leaves others for each.
        """
        if self.threads is None and recorded and recorded <= (os.cpu_count() or 1):
            return recorded
        return self.threads or (1 if spec.is_small else usable_cores())

    def check_device(self) -> None:
        """Raise `DeviceLost` if the device no longer works for this process.

        An error inside a kernel, such as an index out of range, is told by every later call.
        """
        if self.device.type != "cuda":
            return
        try:
            torch.cuda.synchronize(self.device)
        except RuntimeError as error:
            problem = f"cannot use {self.device} any more: {first_line(error)}"
            raise DeviceLost(problem) from error

    @contextmanager
    def computing(self, spec: DataSpec, recorded: int | None = None) -> Iterator[None]:
        """Set the CPU threads, see `threads_for`, and keep freed memory from now on."""
        keep_freed_memory()
        with cpu_threads(self.threads_for(spec, recorded)):
            yield


def _prepare_cuda(device: torch.device) -> None:
    """Let training and measuring compute alike on a GPU."""
    if device.index is not None:  # seeds, streams and graphs are those of the current device
        torch.cuda.set_device(device)
    # `deterministic: true` needs it; cuBLAS reads it once, before its first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # By default torch rounds what goes into convolutions, also in feature extractors.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    # Transposed convolutions have kernels that do not draw the same samples twice.
    torch.backends.cudnn.deterministic = True
