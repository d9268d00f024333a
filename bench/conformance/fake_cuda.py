"""Play a model on fake CUDA tensors, which need neither a GPU nor its time.

Fake tensors have a shape, a dtype and a device, but no values. What would fail on a GPU, or wait
for it, shows in the devices of the tensors that meet in an operation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.conformance.model_under_test import Remark, Violation
from bench.conformance.walked_gradients import walked_gradients
from bench.data.base import DataSpec
from bench.errors import describe_error
from bench.seeding import generator_for
from bench.spec.places import place_below
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation, Training
from bench.training.interface import Batch, Classifies, Encodes, as_given
from bench.training.passes import make_passes

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
BOTH = "takes tensors of the CPU and of the GPU"


def play_on_fake_cuda(training: Training, spec: DataSpec) -> None:
    """Take the gradients of every stage, sample and encode.

    A `Violation` is an operation on tensors of the CPU and of the GPU. A `Remark` is what makes the
    CPU wait for the GPU in a stage, so that no CUDA graph can hold it: a value that is read back, a
    shape that depends on values, a copy between the two.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # such an input is a tensor on the CPU
    # Made on the CPU, as for a training: what is neither parameter nor buffer stays there.
    model = on_fake_cuda(RunConfig(training, Evaluation()).model(spec), mode).train()
    with mode:
        size = training.batch_size
        y = as_given(model, spec, torch.zeros(size, dtype=torch.int64, device="cuda"))
        x = torch.empty(size, *spec.shape, device="cuda")
        batch = Batch(x, y, training.labeled_rows or size)
        passes = make_passes(model, training.objective, {}, precision=training.precision)
        waits: list[str] = []
        with gradients_in_python():
            for stage_pass in passes.values():
                stage = f"stage {stage_pass.stage.name!r}"
                waits += _follow(stage, partial(stage_pass.gradients, batch))
        with torch.no_grad():  # where waiting is allowed
            model.eval()
            _follow("sample()", lambda: model.sample(y, generator_for(0, "contract")))
            if isinstance(model, Encodes):
                _follow("encode() and decode()", lambda: model.decode(model.encode(x, y), y))
            if isinstance(model, Classifies):
                _follow("class_logits()", lambda: model.class_logits(x))
    if waits:
        raise Remark("\n".join(waits))


def _follow(where: str, call: Callable[[], object]) -> list[str]:
    """Call under the rules; return what waits for the GPU, as far as fake tensors can go."""
    rules = GPURules(where)
    try:
        with rules:
            call()
    except Violation:
        raise
    except (DataDependentOutputException, DynamicOutputShapeException):
        pass  # it is noted
    except Exception as error:  # of the model, told by other checks, or of what has no fake form
        rules.waits.append(f"{where}: cannot be followed, {describe_error(error)}")
    return rules.waits


def on_fake_cuda(model: nn.Module, mode: FakeTensorMode) -> Any:
    """Return a copy of a module with its parameters and buffers on a fake GPU."""

    def moved(value: Tensor) -> Tensor:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="cuda")

    with mode:
        parameters = {id(p): nn.Parameter(moved(p), p.requires_grad) for p in model.parameters()}
        buffers = {id(buffer): moved(buffer) for buffer in model.buffers()}
    return deepcopy(model, {**parameters, **buffers})


@contextmanager
def gradients_in_python() -> Iterator[None]:
    """Replace torch's engine, which asks CUDA for its streams."""
    original = torch.autograd.grad
    torch.autograd.grad = walked_gradients  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.grad = original


class GPURules(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode, within a fake mode, that checks operations; messages begin with `where`.

    What fails raises a `Violation`. What waits for a GPU is added to `waits`.
    """

    def __init__(self, where: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.where = where
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation, and look at the devices of its tensors."""
        kwargs = kwargs or {}
        if func.namespace == "prim":  # asks for a device
            return func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_cpu = [tensor for tensor in tensors if tensor.device.type == "cpu"]
        is_mixed = 0 < len(on_cpu) < len(tensors)
        try:
            out = func(*args, **kwargs)
        except DataDependentOutputException:
            self._note(func, "reads a value back")
            raise
        except DynamicOutputShapeException:
            self._note(func, "has a shape that depends on values")
            raise
        except RuntimeError as error:
            if is_mixed:
                raise Violation(self._message(func, BOTH)) from error
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
                raise Violation(self._message(func, BOTH))
        return out

    def _note(self, func: Any, problem: str) -> None:
        message = self._message(func, problem)
        if message not in self.waits:
            self.waits.append(message)

    def _message(self, func: Any, problem: str) -> str:
        """Return the problem, and the line of the model where it is."""
        place = place_below(__file__)
        text = f"{self.where}: {func.overloadpacket.__name__.strip('_')} {problem}"
        return f"{text} ({place})" if place else text
