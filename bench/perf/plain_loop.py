"""A training loop without the harness, to measure the harness against.

A `DataLoader` that makes float images one by one, eager mode, and torch's optimizers as they are
without further options, at constant rates; on a GPU, loader workers and pinned memory. It plays the
passes of an iteration on as many batches as we do. Losses are not read back, and networks share
gradients as with detached tensors, by the plan of `bench.training.passes`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data.base import DataSet, DataSpec, Split, to_float
from bench.errors import BenchError
from bench.spec.run_settings import Training, optimizer_settings
from bench.training.interface import Batch, ConditionalGenerator, as_given, begin_training
from bench.training.optimizers import CLASSES
from bench.training.passes import make_passes
from bench.training.timetable import Timetable
from bench.training.trainer import build_model

WORKERS = 4  # of the loader, for a GPU; on a CPU they would take what the networks compute with
PREFETCHED = 2  # batches that each worker makes before they are asked for


class PlainLoop:
    """Train a model in full batches, in its precision; `tf32` is that of convolutions alone.

    `ahead` is the number of batches that loader workers can have ready after a pause.
    """

    def __init__(
        self, training: Training, data: DataSet, device: torch.device, *, tf32: bool = False
    ) -> None:
        self.device = device
        self.model = build_model(training, data, device)
        begin_training(self.model)
        self._tf32 = tf32
        self._passes = make_passes(self.model, training.objective, {}, precision=training.precision)
        if any(stage.batch != 1 for stage in self.model.stages):
            raise BenchError("the plain loop only plays stages with batches of the run's size")
        self._timetable = Timetable(self.model.stages, training.iterations)
        self.draws = self._timetable.draws
        self._optimizers = {}
        for player, parameters in self.model.players().items():
            settings = optimizer_settings(training.optimizers[player])
            options = settings.model_dump(exclude={"name", "rate", "schedule"})
            self._optimizers[player] = CLASSES[settings.name](
                parameters, lr=settings.rate, **options
            )
        workers = WORKERS if device.type == "cuda" else 0
        self.ahead = workers * PREFETCHED
        self._loader: DataLoader[tuple[Tensor, int]] = DataLoader(
            _Examples(data.train, data.flip),
            batch_size=training.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            prefetch_factor=PREFETCHED if workers else None,
            persistent_workers=workers > 0,
            pin_memory=workers > 0,
        )
        if not len(self._loader):
            raise BenchError(f"{len(data.train)} examples make no batch of {training.batch_size}")
        # It must not hold this object: loader workers end when nothing holds their loader.
        self._batches = _endless(self._loader, self.model, data.spec, device)

    def iterate(self, step: int) -> None:
        """Train one iteration."""
        current, batch = -1, None
        with _as_delivered(self._tf32):
            for number in self._timetable.passes_of(step):
                stage, offset = self._timetable.passes[number]
                if (stage_pass := self._passes.get(stage.name)) is None:
                    continue
                while batch is None or offset > current:
                    current, batch = current + 1, next(self._batches)
                _, gradients = stage_pass.gradients(batch)
                for player, of_player in gradients.items():
                    parameters = stage_pass.parameters[player]
                    for parameter, gradient in zip(parameters, of_player, strict=True):
                        parameter.grad = gradient
                    self._optimizers[player].step()
                    self._optimizers[player].zero_grad()


def _endless(
    loader: "DataLoader[tuple[Tensor, int]]",
    model: ConditionalGenerator,
    spec: DataSpec,
    device: torch.device,
) -> Iterator[Batch]:
    while True:
        for x, y in loader:
            labels = as_given(model, spec, y).to(device, non_blocking=True)
            yield Batch(x.to(device, non_blocking=True), labels, len(y))


@contextmanager
def _as_delivered(convolutions: bool) -> Iterator[None]:
    """Round what goes into convolutions to TensorFloat-32, or not; what goes into products, never.

    With convolutions rounded this is how torch is delivered, as is the choice among all kernels,
    also those that do not give the same bits each time.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = False, convolutions, False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = before


class _Examples(Dataset[tuple[Tensor, int]]):
    def __init__(self, split: Split, flip: bool) -> None:
        self._split, self._flip = split, flip

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = to_float(self._split.x[index])
        if self._flip and torch.rand(()) < 0.5:
            x = x.flip(2)
        return x, int(self._split.y[index])
