"""Play a model on fake CUDA tensors, which need neither a GPU nor its time.

Fake tensors have a shape, a dtype and a device, but no values. What would fail on a GPU, or wait
for it, shows in the devices of the tensors that meet in an operation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from logging import getLogger
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from bench.conformance.outcomes import Violation
from bench.conformance.walked_gradients import walked_gradients
from bench.data.base import DataSpec
from bench.errors import describe_error
from bench.seeding import generator_for
from bench.spec.places import place_below
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation, Training
from bench.training.interface import Batch, Classifies, Encodes, as_given, begin_training
from bench.training.passes import StagePass, make_passes

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
BOTH = "takes tensors of the CPU and of the GPU"


class WrongGenerator(Violation):
    """Random numbers are drawn on another device than that of their generator."""


def play_on_fake_cuda(training: Training, spec: DataSpec, only: str = "") -> list[str]:
    """Take the gradients of every stage, sample and encode; return what waits in a stage.

    A `Violation` is an operation on tensors of the CPU and of the GPU, or on one of them and a
    generator of the other. What waits makes the CPU wait for the GPU, so that no CUDA graph can
    hold the stage: a value that is read back, a shape that depends on values, a copy between the
    two. `only` is the beginning of the name of what is to be played.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # such an input is a tensor on the CPU
    # Made on the CPU, as for a training: what is neither parameter nor buffer stays there.
    model = RunConfig(training, Evaluation()).model(spec)
    fake = on_fake_cuda(model, mode)
    with mode:
        calls = _calls(training, spec, fake, "cuda")
    waits: list[str] = []
    for where, call in calls.items():
        if where.startswith(only):

            def on_cpu(where: str = where) -> object:
                return _calls(training, spec, deepcopy(model), "cpu")[where]()

            waits += _follow(where, mode, call, on_cpu)
    return waits


def _calls(
    training: Training, spec: DataSpec, model: Any, device: str
) -> dict[str, Callable[[], object]]:
    """Return what a training and its evaluation call, by the words for it."""
    size = training.batch_size
    y = as_given(model, spec, torch.arange(size, device=device) % spec.classes)
    x = torch.rand(size, *spec.shape, device=device) * 2 - 1
    batch = Batch(x, y, training.labeled_rows or size)
    passes, _ = make_passes(model, training.objective, {}, precision=training.precision)

    def evaluated(call: Callable[[], object]) -> object:
        model.eval()
        with torch.no_grad():
            return call()

    def trained(stage_pass: StagePass) -> object:
        begin_training(model)
        return stage_pass.gradients(batch)

    calls: dict[str, Callable[[], object]] = {
        f"stage {stage_pass.stage.name!r}": partial(trained, stage_pass)
        for stage_pass in dict.fromkeys(stage_pass for stage_pass, _ in passes)
    }
    sample = partial(model.sample, y, generator_for(0, "contract"))
    calls["sample()"] = partial(evaluated, sample)
    if isinstance(model, Encodes):
        coded = partial(evaluated, lambda: model.decode(model.encode(x, y), y))
        calls["encode() and decode()"] = coded
    if isinstance(model, Classifies):
        calls["class_logits()"] = partial(evaluated, partial(model.class_logits, x))
    return calls


def _follow(
    where: str, mode: FakeTensorMode, call: Callable[[], object], on_cpu: Callable[[], object]
) -> list[str]:
    """Call under the rules; return what waits for the GPU, or cannot be followed.

    Values that fake tensors lack are those that the same call reads on the CPU.
    """
    recorded = RecordedValues()
    for is_replay in (False, True):
        rules = GPURules(where, recorded.values)
        try:
            with gradients_in_python(), without_cuda(), mode, rules:
                call()
        except Violation:
            raise
        except (DataDependentOutputException, DynamicOutputShapeException):
            if not is_replay:
                torch.manual_seed(0)
                with suppress(Exception), gradients_in_python(), recorded:
                    on_cpu()
                continue
            rules.waits.append(f"{where}: cannot be followed from there on")
        except Exception as error:  # of the model, told by other rules, or of what has no fake form
            rules.waits.append(f"{where}: cannot be followed, {describe_error(error)}")
        return [w for w in rules.waits if where.startswith("stage") or "cannot be followed" in w]
    return []


def on_fake_cuda(model: nn.Module, mode: FakeTensorMode) -> Any:
    """Return a copy of a module with its parameters and buffers on a fake GPU."""

    def moved(value: Tensor) -> Tensor:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="cuda")

    with mode:
        parameters = {id(p): nn.Parameter(moved(p), p.requires_grad) for p in model.parameters()}
        buffers = {id(buffer): moved(buffer) for buffer in model.buffers()}
    return deepcopy(model, {**parameters, **buffers})


@contextmanager
def without_cuda() -> Iterator[None]:
    """Keep torch from cuDNN's recurrent networks, which ask CUDA for a device, and from its log."""
    enabled, log = torch._C._get_cudnn_enabled(), getLogger("torch._subclasses.fake_tensor")
    torch._C._set_cudnn_enabled(False)
    log.disabled = True
    try:
        yield
    finally:
        torch._C._set_cudnn_enabled(enabled)
        log.disabled = False


@contextmanager
def gradients_in_python() -> Iterator[None]:
    """Replace torch's engine, which asks CUDA for its streams."""
    original = torch.autograd.grad
    torch.autograd.grad = walked_gradients  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.grad = original


Values = dict[Any, list[Any]]
"""Operation -> what each of its calls gave: numbers, or tensors without memory."""


def _depends_on_values(func: Any) -> bool:
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & {*func.tags})


class RecordedValues(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode that keeps, in `values`, the numbers and shapes that depend on values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: Values = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation, and keep what it gives."""
        out = func(*args, **(kwargs or {}))
        if _depends_on_values(func):
            without_memory = partial(tree_map_only, Tensor, lambda t: t.detach().to("meta"))
            self.values.setdefault(func, []).append(without_memory(out))
        return out


class GPURules(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode, within a fake mode, that checks operations; messages begin with `where`.

    What fails raises a `Violation`. What waits for a GPU is added to `waits`. What depends on
    values is taken from `values`, call by call.
    """

    def __init__(self, where: str, values: Values) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.where = where
        self.waits: list[str] = []
        self._values = {func: iter(of_calls) for func, of_calls in values.items()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation, and look at the devices of its tensors."""
        kwargs = kwargs or {}
        if func.namespace == "prim":  # asks for a device
            return func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for generator in (v for v in (*args, *kwargs.values()) if isinstance(v, torch.Generator)):
            self._refuse_other_device(func, generator, tensors, kwargs.get("device") or "cpu")
        # With a generator, not every operation has a fake form.
        args, kwargs = tree_map_only(torch.Generator, lambda generator: None, (args, kwargs))
        on_cpu = [tensor for tensor in tensors if tensor.device.type == "cpu"]
        is_mixed = 0 < len(on_cpu) < len(tensors)
        known = next(self._values.get(func, iter(())), None) if _depends_on_values(func) else None
        try:
            out = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            reads = isinstance(error, DataDependentOutputException)
            problem = "reads a value back" if reads else "has a shape that depends on values"
            self._note(func, problem)
            if known is None:
                raise
            on_device = partial(torch.empty_like, device=tensors[0].device)
            return tree_map_only(Tensor, on_device, known)
        except RuntimeError as error:
            if is_mixed:
                raise Violation(*self._problem(func, BOTH)) from error
            raise
        if func in COPIES:
            if len({tensor.device.type for tensor in (*tensors, out)}) > 1:
                self._note(func, "copies between the CPU and the GPU")
        elif func in INDEXED and args[0].is_cuda:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self._note(func, "has a mask as index, which is turned into numbers of examples")
            if any(not index.is_cuda for index in indices):
                self._note(func, "copies indices from the CPU to the GPU")
        elif func is aten._linalg_check_errors.default:
            self._note(func, "reads back whether the operation before it succeeded")
        elif is_mixed:
            # A kernel takes a number that lies on the CPU, but not among several to be joined.
            single = {id(value) for value in (*args, *kwargs.values())}
            if any(tensor.ndim or id(tensor) not in single for tensor in on_cpu):
                raise Violation(*self._problem(func, BOTH))
        return out

    def _refuse_other_device(
        self, func: Any, generator: torch.Generator, tensors: list[Tensor], device: Any
    ) -> None:
        devices = {tensor.device.type for tensor in tensors} or {torch.device(device).type}
        if others := devices - {generator.device.type}:
            problem = (
                f"draws on the device {others.pop()!r} with a generator of "
                f"{generator.device.type!r}, which raises there; draw without device=, on the "
                "generator's, and move: torch.randn(..., generator=generator).to(y.device)"
            )
            raise WrongGenerator(*self._problem(func, problem))

    def _note(self, func: Any, problem: str) -> None:
        text, place = self._problem(func, problem)
        message = f"{text} ({place})" if place else text
        if message not in self.waits:
            self.waits.append(message)

    def _problem(self, func: Any, problem: str) -> tuple[str, str]:
        """Return the problem, and the line of the model where it is."""
        name = func.overloadpacket.__name__.strip("_")
        return f"{self.where}: {name} {problem}", place_below(__file__)
