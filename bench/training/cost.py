"""The cost of a model, counted and so the same on every machine.

One iteration is played as by the trainer, on tensors without memory and values. Multiply-adds are
those of matrix products and convolutions, which are nearly all of the arithmetic.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.data.base import DataSpec
from bench.errors import NotApplicable, describe_error
from bench.record.jsonl import write_jsonl
from bench.spec.components import sampling_arguments
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation, ScheduledWeight, Training
from bench.training.interface import Batch, ConditionalGenerator, Encodes, as_given, begin_training
from bench.training.passes import make_passes, stage_weights
from bench.training.timetable import Timetable

FILE = "cost.jsonl"


class CostEntry(NamedTuple):
    """A count under the name of a metric, or None with the reason why there is none."""

    metric: str
    value: float | None
    reason: str = ""


def write_cost(
    training: Training, spec: DataSpec, folder: Path, sampling: Mapping[str, Any] = {}
) -> None:
    """Write `cost.jsonl` of a row of a run into its folder, unless it is there."""
    if not (folder / FILE).exists():
        entries = count_cost(training, spec, sampling)
        write_jsonl(folder / FILE, [entry._asdict() for entry in entries])


def count_cost(
    training: Training, spec: DataSpec, sampling: Mapping[str, Any] = {}
) -> list[CostEntry]:
    """Return what a model costs (`bench.record.quantities.COST`), without touching random state.

    Examples are drawn with the options `sampling` in place of the model's defaults.
    """
    with FakeTensorMode(), silent_fake_tensors():
        model = RunConfig(training, Evaluation()).model(spec)
        entries = [
            CostEntry("parameters", sum(p.numel() for p in model.parameters())),
            CostEntry("images_per_iteration", round(images_per_iteration(model, training))),
        ]
        options = sampling_arguments(type(model), sampling) if sampling else {}
        make_batch = partial(_batch, model, spec, training)
        counts_of: Mapping[tuple[str, ...], Callable[[], tuple[int, ...]]] = {
            ("multiply_adds_per_iteration",): lambda: _iteration(model, make_batch, training),
            ("multiply_adds_per_sample", "sampling_parameters"): lambda: _sample(
                model, make_batch().y[:1], options
            ),
            ("relevant_code", "irrelevant_code"): lambda: _codes(model, make_batch()),
        }
        for metrics, count in counts_of.items():
            counts: tuple[int | None, ...] = (None,) * len(metrics)
            reason = ""
            try:
                counts = count()
            except NotApplicable as error:
                reason = str(error)
            except Exception as error:  # of a model's code, which must not stop a training
                reason = f"it cannot be counted: {describe_error(error)}"
            entries += [CostEntry(m, n, reason) for m, n in zip(metrics, counts, strict=True)]
    return [*entries, _price_per_nat(model, training)]


def _price_per_nat(model: ConditionalGenerator, training: Training) -> CostEntry:
    """Return the weight of a nat; None where the model's nats have several, or it has none."""
    prices = {}
    for weights in training.objective.values():
        for term, size in model.nats.items():
            if isinstance(weight := weights.get(term), ScheduledWeight):
                weight = weight.weight
            if weight:
                prices[term] = weight / size
    if len({f"{price:.6g}" for price in prices.values()}) == 1:
        return CostEntry("price_per_nat", next(iter(prices.values())))
    several = ", ".join(f"{term} {price:.4g}" for term, price in prices.items())
    return CostEntry("price_per_nat", None, several or "it has no term in nats")


@contextmanager
def silent_fake_tensors() -> Iterator[None]:
    """Silence torch's log of fake tensors: others say, without a traceback, what a model lacks."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def images_per_iteration(model: ConditionalGenerator, training: Training) -> float:
    """Return how many images those who move see in an iteration, in the mean over the run."""
    timetable = Timetable(model.stages, training.iterations)
    taken = 0.0
    for passes, _, count in timetable.kinds():
        largest: dict[int, float] = {}  # number of a draw -> batches that are taken from it on
        for stage, draw in map(timetable.passes.__getitem__, passes):
            if stage_weights(stage, training.objective):
                largest[draw] = max(largest.get(draw, 0), stage.batch)
        taken += count * sum(largest.values())
    return training.batch_size * taken / training.iterations


def images_in_all(training: Training, spec: DataSpec) -> int:
    """Return how many images a training sees, without touching random state."""
    with FakeTensorMode(), silent_fake_tensors():
        model = RunConfig(training, Evaluation()).model(spec)
        return round(images_per_iteration(model, training) * training.iterations)


def _batch(
    model: ConditionalGenerator, spec: DataSpec, training: Training, size: float = 1
) -> Batch:
    """Return an empty batch of so many times the run's batch size."""
    count = max(1, round(size * training.batch_size))
    y = as_given(model, spec, torch.zeros(count, dtype=torch.int64))
    rows = training.labeled_rows
    labeled = max(1, round(size * rows)) if rows else 0
    return Batch(torch.empty(count, *spec.shape), y, labeled)


def _iteration(
    model: ConditionalGenerator, make_batch: Callable[[float], Batch], training: Training
) -> tuple[int]:
    """Count the passes of an iteration, forward and backward; nobody steps.

    Of stages that do not move in every iteration it is the mean.
    """
    begin_training(model)
    passes = make_passes(model, training.objective, {}, precision=training.precision)
    counts = {}
    for name, stage_pass in passes.items():
        with OperationCounter() as counter:
            stage_pass.gradients(make_batch(stage_pass.stage.batch))
        counts[name] = counter.multiply_adds
    timetable = Timetable(model.stages, training.iterations)
    total = sum(
        count * counts.get(timetable.passes[number].stage.name, 0)
        for passes, _, count in timetable.kinds()
        for number in passes
    )
    return (round(total / training.iterations),)


def _sample(model: ConditionalGenerator, y: Tensor, options: Mapping[str, Any]) -> tuple[int, int]:
    """Count drawing one example, and the parameters that take part."""
    model.eval()
    with torch.no_grad(), OperationCounter() as counter:
        model.sample(y, **options)
    used = sum(p.numel() for p in model.parameters() if id(p) in counter.used)
    return counter.multiply_adds, used


def _codes(model: ConditionalGenerator, batch: Batch) -> tuple[int, int]:
    """Return the sizes of both codes, 0 for a part that the model lacks."""
    if not isinstance(model, Encodes):
        raise NotApplicable("it cannot encode")
    model.eval()
    with torch.no_grad():
        code = model.encode(batch.x, batch.y)
    relevant, irrelevant = (0 if part is None else part.shape[1] for part in code)
    return relevant, irrelevant


_FORMULAS: Mapping[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten.mv: lambda matrix, *_, **__: 2 * matrix.numel(),  # torch has no formula for it
}


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counter of `multiply_adds`; `used` collects the ids of tensors that go into operations.

    torch's own `FlopCounterMode` refuses the gradients with respect to single parameters.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0
        self.used: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation, or its parts if it is made of others."""
        kwargs = kwargs or {}
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is None and func.namespace == "aten":  # others ask for shape or device
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        self.used.update(id(leaf) for leaf in tree_leaves((args, kwargs)))
        out = func(*args, **kwargs)
        if formula is not None:
            self.multiply_adds += formula(*args, **kwargs, out_val=out) // 2
        return out
