"""A stage's pass as a CUDA graph: captured once, then replayed without a launch from Python.

A replay runs the captured kernels on the captured addresses. So batches are copied into fixed
buffers, learning rates lie on the device, and parameters, buffers and moments are only ever
written in place. Random kernels read seed and offset from memory: capturing registers the
device's default (Philox) generator with the graph, and each replay stores the generator's seed
and offset there and then advances the offset by what the captured kernels draw. Reseeding the
generator before an iteration therefore gives a replay the numbers that eager mode draws.

`bench.training.switch_trials` believes none of this without having compared it with eager mode.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.spec.switches import SwitchSet
from bench.training.interface import Batch
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass

WARM_UPS = 3
"""Calls before a capture, in which libraries settle on algorithms and states come to be."""


class Graph(Protocol):
    """Work that can be repeated on the memory it was recorded with."""

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Record a function, after some calls; return the memory that holds what it returns."""
        ...

    def replay(self) -> None:
        """Do it again."""
        ...


class CudaGraph:
    """A `torch.cuda.CUDAGraph`.

    Graphs may share their scratch memory where they are replayed one after another on one stream,
    and what one returns is copied before the next begins. They must be alive together: torch
    refuses to capture into memory whose graphs are gone, or one of whose captures failed.

    Args:
        pool: The scratch memory, from `torch.cuda.graph_pool_handle`.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Warm up on a side stream, as torch asks for, then record.

        What would wait for the device raises in the last call before the capture, since a failed
        capture can leave the random generator and the allocator in a state without repair. Other
        threads may use the device meanwhile, such as one that pins memory for a loader.
        """
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS - 1):
                work()
            with _refusing_waits():
                work()
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"):
            return work()

    def replay(self) -> None:
        """Launch the whole graph."""
        self._graph.replay()


@contextmanager
def _refusing_waits() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class CapturedPass:
    """Plays a stage as `StagePass` does, by replaying it.

    Capturing moves the players: wrap it in `restored`.

    Args:
        stage_pass: What is captured; its optimizers must be capturable.
        batch: A draw, for its shapes.
        graph: What records it.
    """

    def __init__(self, stage_pass: StagePass, batch: Batch, graph: Graph) -> None:
        self.stage = stage_pass.stage
        self.terms = stage_pass.terms
        self._moving = [stage_pass.optimizers[player] for player in stage_pass.rows]
        self._batch = batch._replace(x=batch.x.clone(), y=batch.y.clone())
        self._graph = graph
        self._values = graph.capture(lambda: stage_pass.play(self._batch, None))

    def play(self, batch: Batch, step: int) -> Tensor:
        """Move the players of the stage once; as `StagePass.play`."""
        self._batch.x.copy_(batch.x)
        self._batch.y.copy_(batch.y)
        for optimizer in self._moving:
            optimizer.set_rate(step)
        self._graph.replay()
        return self._values.clone()  # the next replay writes there


AnyPass = StagePass | CapturedPass


def rehearsed(
    passes: Sequence[tuple[AnyPass, int]], batch: Batch, switches: SwitchSet
) -> list[tuple[AnyPass, int]]:
    """Play every stage, so that it is compiled, and capture it if it is to be.

    Players move: wrap it in `restored`.

    Args:
        passes: The passes of an iteration, each with the number of its draw.
        batch: A draw, for its shapes.
        switches: What is on.

    Returns:
        The passes, those of one stage sharing one graph.
    """
    if switches.compile:
        torch._dynamo.reset()  # what earlier runs left
    made: dict[str, CapturedPass] = {}
    pool = torch.cuda.graph_pool_handle() if switches.graphs else None
    for stage_pass, _ in passes:
        name = stage_pass.stage.name
        if isinstance(stage_pass, CapturedPass) or name in made:
            continue
        for _ in range(2):  # the plan of backwards, then what is compiled by it
            stage_pass.play(batch, None)
        if switches.graphs:
            made[name] = CapturedPass(stage_pass, batch, CudaGraph(pool))
    return [(made.get(played.stage.name, played), at) for played, at in passes]


@contextmanager
def restored(model: nn.Module, optimizers: Iterable[PlayerOptimizer]) -> Iterator[None]:
    """Undo, in place, what is done to a model and its optimizers in the meantime.

    Moments that came to be in the meantime become zero, with which every optimizer here begins.

    Args:
        model: Its parameters and buffers are restored.
        optimizers: Their moments are restored.

    Yields:
        Nothing.
    """
    owners = [optimizer.torch_optimizer for optimizer in optimizers]
    kept = {id(tensor): tensor.detach().clone() for tensor in _tensors(model, owners)}
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor in _tensors(model, owners):
                before = kept.get(id(tensor))
                tensor.zero_() if before is None else tensor.copy_(before)


def _tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    for optimizer in optimizers:
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
