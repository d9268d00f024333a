"""What a model costs, counted instead of measured: equal on every machine and in every repetition.

The model is built and one iteration is played as the trainer plays it, on fake tensors. These
have a shape and a device but neither memory nor values, and draw no random numbers. What is
counted are the multiply-adds of matrix products and convolutions, forward and backward, which
are nearly all of the arithmetic; norms, activations, losses and optimizers are left out.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.data.base import DataSpec
from bench.errors import NotApplicable
from bench.record.jsonl import write_jsonl
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation, Training
from bench.training.interface import Batch, ConditionalGenerator, Encodes, as_given
from bench.training.passes import StagePass, draw_offsets, moving_rows

FILE = "cost.jsonl"


class Fact(NamedTuple):
    """One number about a model.

    Attributes:
        metric: What it counts.
        value: The count; None where it cannot be had.
        reason: Why it cannot; empty where it can.
    """

    metric: str
    value: int | None
    reason: str = ""


def write_cost(training: Training, spec: DataSpec, folder: Path) -> None:
    """Write `cost.jsonl` of a run, unless it is there.

    Args:
        training: The complete configuration.
        spec: Shape of its data.
        folder: Folder of the run.
    """
    if not (folder / FILE).exists():
        facts = count_cost(training, spec)
        write_jsonl(folder / FILE, [fact._asdict() for fact in facts])


def count_cost(training: Training, spec: DataSpec) -> list[Fact]:
    """Count what a model costs, without memory and without touching any random state.

    Args:
        training: The complete configuration.
        spec: Shape of its data.

    Returns:
        `parameters`; `images_per_iteration`; `multiply_adds_per_iteration`, of all passes, forward
        and backward; `multiply_adds_per_sample` and `sampling_parameters`, of drawing one example;
        `relevant_code` and `irrelevant_code`, the widths of what an image is encoded to, 0 for a
        part that the model lacks.
    """
    with FakeTensorMode():
        model = RunConfig(training, Evaluation()).model(spec)
        batch = _fake_batch(model, training, spec)
        _, draws = draw_offsets(model.stages)
        facts = [
            Fact("parameters", sum(p.numel() for p in model.parameters())),
            Fact("images_per_iteration", draws * training.batch_size),
        ]
        for metrics, count in _COUNTS.items():
            facts += _try(metrics, count, model, batch, training)
    return facts


def _fake_batch(model: ConditionalGenerator, training: Training, spec: DataSpec) -> Batch:
    """Return a draw of the right shape; its values do not exist."""
    size = training.batch_size
    y = as_given(model, spec, torch.zeros(size, dtype=torch.int64))
    return Batch(torch.empty(size, *spec.shape), y, training.labeled_rows or size)


def _try(metrics: tuple[str, ...], count: Callable[..., tuple[int, ...]], *of: Any) -> list[Fact]:
    """Return what a count finds, or why it finds nothing: that must not stop a training."""
    try:
        return [Fact(*found) for found in zip(metrics, count(*of), strict=True)]
    except NotApplicable as error:
        reason = str(error)
    except Exception as error:  # whatever the code of a model does with tensors without values
        lines = str(error).strip().splitlines() or [""]
        reason = f"it cannot be counted: {type(error).__name__}: {lines[0]}"
    return [Fact(metric, None, reason) for metric in metrics]


def _iteration(model: ConditionalGenerator, batch: Batch, training: Training) -> tuple[int]:
    """Play one iteration as the trainer does, but let nobody step."""
    model.train()
    objective = training.objective
    standing = {name: _Standing(parameters) for name, parameters in model.players().items()}
    passes = {
        stage.name: StagePass(model, stage, objective, standing, precision=training.precision)  # type: ignore[arg-type]
        for stage in model.stages
        if moving_rows(stage, objective)
    }
    with _Watch() as watch:
        for stage, _ in draw_offsets(model.stages)[0]:
            if stage.name in passes:
                passes[stage.name].play(batch, 0)
    return (watch.multiply_adds,)


def _sample(model: ConditionalGenerator, batch: Batch, training: Training) -> tuple[int, int]:
    """Draw one example."""
    model.eval()
    with torch.no_grad(), _Watch() as watch:
        model.sample(batch.y[:1])
    used = sum(p.numel() for p in model.parameters() if id(p) in watch.used)
    return watch.multiply_adds, used


def _codes(model: ConditionalGenerator, batch: Batch, training: Training) -> tuple[int, int]:
    """Encode a batch."""
    if not isinstance(model, Encodes):
        raise NotApplicable("it cannot encode")
    model.eval()
    with torch.no_grad():
        code = model.encode(batch.x, batch.y)
    relevant, irrelevant = (0 if part is None else part.shape[1] for part in code)
    return relevant, irrelevant


_COUNTS: Mapping[tuple[str, ...], Callable[..., tuple[int, ...]]] = {
    ("multiply_adds_per_iteration",): _iteration,
    ("multiply_adds_per_sample", "sampling_parameters"): _sample,
    ("relevant_code", "irrelevant_code"): _codes,
}


class _Standing:
    """Stands in for an optimizer and does nothing."""

    def __init__(self, parameters: list[Any]) -> None:
        self.parameters = parameters

    def step(self, gradients: list[Tensor], step: int, clip_norm: float | None) -> None:
        pass


def _of_matrix_and_vector(matrix: Tensor, *_: object, **__: object) -> int:
    """Return the operations of the one product that torch's own formulas leave out."""
    return 2 * matrix.numel()


_FORMULAS: Mapping[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten.mv: _of_matrix_and_vector,
}


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation: counts, and notes which tensors go in.

    It uses torch's formulas but not its `FlopCounterMode`, whose hooks on modules refuse the
    gradients with respect to single parameters that passes take.

    Attributes:
        multiply_adds: Counted until now.
        used: Ids of all tensors that went into an operation.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0
        self.used: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation, or its parts where it is made of others."""
        kwargs = kwargs or {}
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is None and func.namespace == "aten":  # others ask for shape or device
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        self.used.update(id(leaf) for leaf in tree_leaves((args, kwargs)))
        found = func(*args, **kwargs)
        if formula is not None:
            self.multiply_adds += formula(*args, **kwargs, out_val=found) // 2
        return found
