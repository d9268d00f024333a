"""What a process brings to its runs: device, loaded data, networks, signals."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.data.base import DataSpec, data_root
from bench.errors import BenchError
from bench.metrics.base import Context
from bench.process.memory import keep_freed_memory
from bench.process.stop_signal import StopSignal
from bench.spec.components import construct
from bench.spec.run_config import RunConfig, canonical_json
from bench.spec.switches import SwitchSet


@dataclass
class Worker:
    """What a process brings to its runs besides their configuration; none of it is in an id.

    It can be sent to another process, on another machine even: there it arrives without what is
    loaded here, and finds the device anew.

    Attributes:
        device_name: Where to compute: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        command: The command line, for provenance.
        weights: Files of downloaded networks by name.
        checkpoint_seconds: Time between checkpoints.
        retry_failed: Whether failed runs are tried again.
        allow_code_change: Whether runs are used that were made by other code.
        threads: CPU threads; chosen by the size of the examples where None.
        switches: How trainings are executed; chosen for the device where None.
        stop: Whether someone asked to stop.
    """

    device_name: str = "auto"
    command: str = ""
    weights: dict[str, Path] = field(default_factory=dict)
    checkpoint_seconds: float = 30.0
    retry_failed: bool = False
    allow_code_change: bool = False
    threads: int | None = None
    switches: SwitchSet | None = None
    stop: StopSignal = field(default_factory=StopSignal)
    _contexts: dict[str, Context] = field(default_factory=dict)

    @cached_property
    def device(self) -> torch.device:
        """The device of that name, ready for use; a `BenchError` says if it is not there."""
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
        fresh = {"stop": StopSignal(), "_contexts": {}}
        kept = {name: value for name, value in vars(self).items() if name != "device"}
        return kept | fresh

    def context(self, run: RunConfig) -> Context:
        """Return the data of a run with its caches, loaded once in this process."""
        context = self.context_of(run.training.data)
        if run.training.unlabeled is None:
            return context
        extra = self.context_of(run.training.unlabeled).data
        data = replace(
            context.data, unlabeled=extra.train.x, unlabeled_fingerprint=extra.fingerprint
        )
        return replace(context, data=data)

    def context_of(self, component: Mapping[str, Any]) -> Context:
        """Return a data set with its caches, loaded once in this process.

        Args:
            component: Its name and options, complete.

        Returns:
            The context, without a model.
        """
        key = canonical_json(component)
        if key not in self._contexts:
            data = construct("dataset", component).load()
            self._contexts[key] = Context(data, self.device, data_root(), self.weights)
        return self._contexts[key]

    def threads_for(self, spec: DataSpec) -> int:
        """Return how many CPU threads train and judge a model of such data.

        The choice does not look at how busy the machine is: other numbers of threads give other
        last digits.
        """
        return self.threads or (1 if spec.is_small else torch.get_num_threads())

    @contextmanager
    def computing(self, spec: DataSpec) -> Iterator[None]:
        """Compute with that many CPU threads for a while, and keep freed memory from now on."""
        keep_freed_memory()
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads_for(spec))
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _prepare_cuda(device: torch.device) -> None:
    """Let this process compute on a device alike in training and in measuring."""
    if device.index is not None:  # seeds, streams and graphs are those of the current device
        torch.cuda.set_device(device)
    # What `deterministic: true` needs; cuBLAS reads it once, before its first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # By itself torch rounds what goes into convolutions, also of the networks that judge.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
