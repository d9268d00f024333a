"""A stage's pass as a CUDA graph: captured once, then replayed without launches from Python.

A replay runs the captured kernels on the captured addresses. So batches are copied into fixed
buffers, learning rates lie on the device, and parameters, buffers and moments are only written in
place. A graph knows the device's default generator: each replay takes its seed and offset and
advances the offset, so that a generator seeded before an iteration gives the numbers of eager mode.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.spec.switches import SwitchSet
from bench.training.interface import Batch
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass

WARM_UPS = 3  # calls before a capture, in which libraries choose algorithms


class CudaGraph:
    """A `torch.cuda.CUDAGraph` of a function, and the memory that holds what it returns.

    Graphs may share a pool of memory if they are replayed one after another, and what one returns
    is copied before the next begins. torch refuses to capture into a pool whose graphs are gone.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Warm up on a side stream, as torch asks for, then record; return the output's memory.

        What would wait for the device raises in the last call before the capture, since a failed
        capture can break the random generator and the allocator.
        """
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS - 1):
                work()
            mode = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("error")
            try:
                work()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"):
            return work()

    def replay(self) -> None:
        """Launch the whole graph."""
        self._graph.replay()


class CapturedPass:
    """A `StagePass` as a CUDA graph that is replayed; its optimizers must be capturable.

    Capturing moves the players: wrap it in `state_kept`.
    """

    def __init__(self, stage_pass: StagePass, batch: Batch, graph: CudaGraph) -> None:
        self.stage = stage_pass.stage
        self.terms = stage_pass.terms
        self._moving = [stage_pass.optimizers[player] for player in stage_pass.weights]
        self._batch = batch._replace(x=batch.x.clone(), y=batch.y.clone())
        self._graph = graph
        self._values = graph.capture(lambda: stage_pass.play(self._batch, None))

    def play(self, batch: Batch, step: int) -> Tensor:
        """Move the players of the stage once; return the terms `[T]`."""
        self._batch.x.copy_(batch.x)
        self._batch.y.copy_(batch.y)
        for optimizer in self._moving:
            optimizer.set_rate(step)
        self._graph.replay()
        return self._values.clone()  # the next replay writes there


AnyPass = StagePass | CapturedPass


def compile_and_capture(
    passes: Sequence[tuple[AnyPass, int]], batch: Batch, switches: SwitchSet
) -> list[tuple[AnyPass, int]]:
    """Play every stage, so that it is compiled, and capture it if graphs are on.

    The batch gives the shapes. Players move: wrap it in `state_kept`.
    """
    if switches.compile:
        torch._dynamo.reset()  # what earlier runs left
    captured: dict[str, CapturedPass] = {}
    pool = torch.cuda.graph_pool_handle() if switches.graphs else None
    for stage_pass, _ in passes:
        name = stage_pass.stage.name
        if isinstance(stage_pass, CapturedPass) or name in captured:
            continue
        for _ in range(2):  # the plan of backwards, then what is compiled by it
            stage_pass.play(batch, None)
        if switches.graphs:
            captured[name] = CapturedPass(stage_pass, batch, CudaGraph(pool))
    return [(captured.get(played.stage.name, played), offset) for played, offset in passes]


@contextmanager
def state_kept(model: nn.Module, optimizers: Iterable[PlayerOptimizer]) -> Iterator[None]:
    """Restore parameters, buffers and moments in place; new moments become zero."""
    owners = [optimizer.torch_optimizer for optimizer in optimizers]
    before = {id(tensor): tensor.detach().clone() for tensor in _tensors(model, owners)}
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor in _tensors(model, owners):
                value = before.get(id(tensor))
                tensor.zero_() if value is None else tensor.copy_(value)


def _tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    for optimizer in optimizers:
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
