"""An iteration as a CUDA graph: captured once, then replayed without launches from Python.

A replay runs the captured kernels on the captured addresses. So the numbers of the examples are
copied into a fixed buffer, rates lie on the device, and parameters, buffers and moments are only
written in place. A graph knows the device's default generator: each replay takes its seed and
offset and advances the offset, so that a generator seeded before an iteration gives the numbers of
eager mode.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.data.stream import Draws
from bench.training.cuda_streams import UnsharedStream

WARM_UPS = 3  # calls before a capture, in which libraries choose algorithms


class CudaGraph:
    """A `torch.cuda.CUDAGraph` of a function, and the memory that holds what it returns."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._unshared = UnsharedStream()

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Warm up on the graph's stream, then record there; return the output's memory.

        What would wait for the device raises in the last call before the capture, since a failed
        capture can break the random generator and the allocator.
        """
        stream, outer = self._unshared.stream, torch.cuda.current_stream()
        stream.wait_stream(outer)
        try:
            with torch.cuda.stream(stream):
                self._warm_up(work)
            outer.wait_stream(stream)
            _forget_workspaces()
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                return work()
        finally:
            torch.cuda.set_stream(outer)  # torch 2.11 stays on the other one after an error
            outer.wait_stream(stream)  # what was launched there before an error still writes
            _forget_workspaces()

    def _warm_up(self, work: Callable[[], Tensor]) -> None:
        for _ in range(WARM_UPS - 1):
            work()
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode(mode)

    def replay(self) -> None:
        """Launch the whole graph."""
        self._graph.replay()


def _forget_workspaces() -> None:
    """Let cuBLAS ask for new workspaces, which torch keeps for each stream.

    Called before a capture, so that those of the graph lie in its own memory, and after it. A
    workspace that stays behind keeps the block of memory that it was cut from, for as long as the
    process lives: what a failed capture had taken could not be used by eager mode.
    """
    torch._C._cuda_clearCublasWorkspaces()


class CapturedIteration:
    """An iteration that is replayed: a function of draws that returns all terms.

    Its optimizers must be capturable. Capturing moves the players: wrap it in `state_kept`.
    """

    def __init__(self, work: Callable[[Draws], Tensor], draws: Draws) -> None:
        self._draws = Draws(*(part.clone() for part in draws))
        self._graph = CudaGraph()
        self._values = self._graph.capture(lambda: work(self._draws))

    def __call__(self, draws: Draws) -> Tensor:
        """Do the iteration with other draws; return the terms of all passes."""
        for ours, given in zip(self._draws, draws, strict=True):
            ours.copy_(given)
        self._graph.replay()
        return self._values.clone()  # the next replay writes there


@contextmanager
def state_kept(tensors: Callable[[], Iterable[Tensor]]) -> Iterator[None]:
    """Restore tensors in place; those that are new become zero, as new moments are."""
    before = {id(tensor): tensor.detach().clone() for tensor in tensors()}
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor in tensors():
                value = before.get(id(tensor))
                tensor.zero_() if value is None else tensor.copy_(value)
