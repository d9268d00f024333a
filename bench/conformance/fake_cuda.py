"""Play a model on fake CUDA tensors, which need neither a GPU nor its time.

Fake tensors have a shape, a dtype and a device, but no values. What would fail on a GPU, or wait
for it, shows in the devices of the tensors that meet in an operation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode
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
from bench.training.cost import silent_fake_tensors
from bench.training.interface import Batch, Classifies, Encodes, as_given, begin_training
from bench.training.passes import StagePass, make_passes

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
READS = "reads a value back"
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
    batch = Batch(x, y, training.labeled_rows)
    passes = make_passes(model, training.objective, {}, precision=training.precision)

    def evaluated(call: Callable[[], object]) -> object:
        model.eval()
        with torch.no_grad():
            return call()

    def trained(stage_pass: StagePass) -> object:
        begin_training(model)
        return stage_pass.gradients(batch)

    calls: dict[str, Callable[[], object]] = {
        f"stage {stage_pass.stage.name!r}": partial(trained, stage_pass)
        for stage_pass in passes.values()
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
    shapes, reads = RecordedShapes(), RecordedReads()
    for is_replay in (False, True):
        rules = GPURules(where, shapes.values)
        replayed = ReplayedReads(rules, reads.values)
        try:
            with gradients_in_python(), without_cuda(), mode, rules, replayed:
                call()
        except Violation:
            raise
        except Exception as error:  # of what has no fake form, or of the model: other rules' matter
            if not is_replay:
                torch.manual_seed(0)
                with suppress(Exception), gradients_in_python(), shapes, reads:
                    on_cpu()
                continue
            what = "" if isinstance(error, NO_VALUES) else f", {describe_error(error)}"
            rules.waits.append(f"{where}: cannot be followed to its end{what}")
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
    enabled = torch._C._get_cudnn_enabled()
    torch._C._set_cudnn_enabled(False)
    try:
        with silent_fake_tensors():
            yield
    finally:
        torch._C._set_cudnn_enabled(enabled)


@contextmanager
def gradients_in_python() -> Iterator[None]:
    """Replace torch's engine, which asks CUDA for its streams."""
    original = torch.autograd.grad
    torch.autograd.grad = walked_gradients  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.grad = original


NO_VALUES = (DataDependentOutputException, DynamicOutputShapeException)
"""What fake tensors raise where a value is needed."""

VALUE_READS = {
    getattr(Tensor, name)
    for name in ("item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__")
}
"""Methods by which Python code reads values."""

Shapes = dict[Any, list[Any]]
"""Operation whose shapes depend on values -> what each call gave, as tensors without memory."""


def _depends_on_values(func: Any) -> bool:
    tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    return bool(tags & {*func.tags}) and func is not aten._local_scalar_dense.default


class RecordedShapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode that keeps, in `values`, what operations give whose shapes depend on values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: Shapes = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation, and keep the shapes of what it gives."""
        out = func(*args, **(kwargs or {}))
        if _depends_on_values(func):
            shapes = tree_map_only(Tensor, lambda tensor: tensor.detach().to("meta"), out)
            self.values.setdefault(func, []).append(shapes)
        return out


class RecordedReads(TorchFunctionMode):
    """The mode that keeps, in `values`, what Python code reads."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Any] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, and keep what it reads."""
        out = function(*args, **(kwargs or {}))
        if function in VALUE_READS:  # of a list, fake tensors read one number after another
            self.values += tree_leaves(out) if function is Tensor.tolist else [out]
        return out


class ReplayedReads(TorchFunctionMode):
    """The mode in which fake tensors give the values that were recorded, one after another."""

    def __init__(self, rules: "GPURules", values: list[Any]) -> None:
        super().__init__()
        self.rules = rules
        self.values = iter(values)

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch; where it reads a value that is not there, take the next."""
        if function not in VALUE_READS:
            return function(*args, **(kwargs or {}))
        value = next(self.values, None)
        try:
            return function(*args, **(kwargs or {}))
        except Exception:
            self.rules.note(READS)
            if value is None:
                raise
            return value


class GPURules(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode, within a fake mode, that checks operations; messages begin with `where`.

    What fails raises a `Violation`. What waits for a GPU is added to `waits`. Shapes that depend on
    values are taken from `shapes`, call by call.
    """

    def __init__(self, where: str, shapes: Shapes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.where = where
        self.waits: list[str] = []
        self._shapes = {func: iter(of_calls) for func, of_calls in shapes.items()}

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
        known = next(self._shapes.get(func, iter(())), None) if _depends_on_values(func) else None
        try:
            out = func(*args, **kwargs)
        except NO_VALUES as error:
            has_shape = isinstance(error, DynamicOutputShapeException)
            self.note(f"{_name(func)} has a shape that depends on values" if has_shape else READS)
            if known is None:
                raise
            on_device = partial(torch.empty_like, device=tensors[0].device)
            return tree_map_only(Tensor, on_device, known)
        except RuntimeError as error:
            if is_mixed:
                raise Violation(*self._problem(f"{_name(func)} {BOTH}")) from error
            raise
        if func in COPIES:
            if len({tensor.device.type for tensor in (*tensors, out)}) > 1:
                self.note(f"{_name(func)} copies between the CPU and the GPU")
        elif func in INDEXED and args[0].is_cuda:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self.note(
                    f"{_name(func)} has a mask as index, which is turned into numbers of examples"
                )
            if any(not index.is_cuda for index in indices):
                self.note(f"{_name(func)} copies indices from the CPU to the GPU")
        elif func is aten._linalg_check_errors.default:
            self.note(f"{_name(func)} reads back whether the operation before it succeeded")
        elif is_mixed:
            # A kernel takes a number that lies on the CPU, but not among several to be joined.
            single = {id(value) for value in (*args, *kwargs.values())}
            if any(tensor.ndim or id(tensor) not in single for tensor in on_cpu):
                raise Violation(*self._problem(f"{_name(func)} {BOTH}"))
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
            raise WrongGenerator(*self._problem(f"{_name(func)} {problem}"))

    def note(self, problem: str) -> None:
        """Add what waits for the GPU, with the line of the model, if it is not known yet."""
        text, place = self._problem(problem)
        message = f"{text} ({place})" if place else text
        if message not in self.waits:
            self.waits.append(message)

    def _problem(self, problem: str) -> tuple[str, str]:
        """Return the problem, and the line of the model where it is."""
        return f"{self.where}: {problem}", place_below(__file__)


def _name(func: Any) -> str:
    return str(func.overloadpacket.__name__).strip("_")
