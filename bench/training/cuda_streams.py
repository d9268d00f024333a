"""CUDA streams with random numbers of their own, for concurrent trainings on one GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

import torch

from bench.errors import BenchError

POOL = 32  # streams that torch has; then it gives out the first again


class UnsharedStream:
    """A CUDA stream that no other object of this class has, for as long as both exist.

    What libraries keep for a stream, such as the workspace of cuBLAS, is shared by all graphs that
    were captured on it: replayed at the same time, they would write over each other's numbers.
    """

    _living: "WeakSet[UnsharedStream]" = WeakSet()

    def __init__(self) -> None:
        taken = {other.stream.cuda_stream for other in self._living}
        for _ in range(POOL):
            self.stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            if self.stream.cuda_stream not in taken:
                self._living.add(self)
                return
        raise BenchError(
            f"all {POOL} CUDA streams of this process are in use; fewer runs side by side may help"
        )


class CudaLane:
    """A stream and a state of the random generator, to be used by one training at a time.

    A graph reads seed and offset of its random numbers from the state that the default generator
    had when it was captured. With a common state, one training would draw what another was seeded
    for.
    """

    def __init__(self, device: torch.device) -> None:
        self._unshared = UnsharedStream()
        self._generator = torch.Generator(device)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Launch on the stream and draw from the state within the block."""
        default = torch.cuda.default_generators[torch.cuda.current_device()]
        before = default.graphsafe_get_state()
        default.graphsafe_set_state(self._generator.graphsafe_get_state())
        try:
            with torch.cuda.stream(self._unshared.stream):
                yield
        finally:
            default.graphsafe_set_state(before)
