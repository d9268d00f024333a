"""A training loop without the harness, to measure the harness against.

A `DataLoader` that makes float images one by one, float32, eager mode, `torch.optim.Adam` at the
harness's rate and betas; on a GPU, loader workers and pinned memory. Losses are not read back, and
networks share gradients as with detached tensors, by the plan of `bench.training.passes`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data.base import DataSet, Split, to_float
from bench.errors import BenchError
from bench.spec.run_settings import Training
from bench.training.device import numerics
from bench.training.interface import Batch, as_given, begin_training
from bench.training.passes import make_passes
from bench.training.trainer import build_model

WORKERS = 4  # of the loader, for a GPU; on a CPU they would take what the networks compute with


class PlainLoop:
    """Train a model with the rate of 5e-4 and without schedules, in full batches only."""

    def __init__(self, training: Training, data: DataSet, device: torch.device) -> None:
        self.training = training
        self.device = device
        self.spec = data.spec
        self.model = build_model(training, data, device)
        begin_training(self.model)
        self._passes, self.draws = make_passes(self.model, training.objective, {})
        self._optimizers = {
            player: torch.optim.Adam(parameters, lr=5e-4, betas=(0.0, 0.9))
            for player, parameters in self.model.players().items()
        }
        on_gpu = device.type == "cuda"
        self._loader: DataLoader[tuple[Tensor, int]] = DataLoader(
            _Examples(data.train, data.flip),
            batch_size=training.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS if on_gpu else 0,
            persistent_workers=on_gpu,
            pin_memory=on_gpu,
        )
        if not len(self._loader):
            raise BenchError(f"{len(data.train)} examples make no batch of {training.batch_size}")
        self._batches = self._endless()

    def iterate(self, step: int) -> None:
        """Train one iteration."""
        current, batch = -1, None
        with numerics(self.training, self.device):
            for stage_pass, offset in self._passes:
                while batch is None or offset > current:
                    current, batch = current + 1, next(self._batches)
                _, gradients = stage_pass.gradients(batch)
                for player, of_player in gradients.items():
                    parameters = stage_pass.parameters[player]
                    for parameter, gradient in zip(parameters, of_player, strict=True):
                        parameter.grad = gradient
                    self._optimizers[player].step()
                    self._optimizers[player].zero_grad()

    def _endless(self) -> Iterator[Batch]:
        while True:
            for x, y in self._loader:
                labels = as_given(self.model, self.spec, y).to(self.device, non_blocking=True)
                yield Batch(x.to(self.device, non_blocking=True), labels, len(y))


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
