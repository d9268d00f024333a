"""What one would write without the harness, to measure the harness against.

A `DataLoader` whose workers make float images one by one, float32, eager mode, `torch.optim.Adam`
as it comes. Everything that costs nothing to get right is right: pinned memory, no reading back of
losses, and gradients shared between networks as by hand with detached tensors, for which the
plan of `bench.training.passes` stands in.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.data.base import DataSet, Split, to_float
from bench.errors import BenchError
from bench.spec.run_settings import Training
from bench.training.interface import Batch, as_given
from bench.training.numerics import numerics
from bench.training.passes import StagePass, draw_offsets, moving_rows
from bench.training.trainer import build_model

WORKERS = 4  # of the loader, for a GPU; on a CPU they would take what the networks compute with


class PlainLoop:
    """Trains a model in the plain way.

    Attributes:
        images: Images an iteration takes.

    Args:
        training: The configuration; optimizer settings besides the rate are those of Adam.
        data: The loaded data set.
        device: Where to train.

    Raises:
        BenchError: If there are fewer examples than a batch has rows, so that no batch is full.
    """

    def __init__(self, training: Training, data: DataSet, device: torch.device) -> None:
        self.training = training
        self.device = device
        self.model = build_model(training, data, device).train()
        self.spec = data.spec
        objective = training.objective
        optimizers = {name: _Plain(own) for name, own in self.model.players().items()}
        passes, draws = draw_offsets(self.model.stages)
        made = {
            stage.name: StagePass(self.model, stage, objective, optimizers)  # type: ignore[arg-type]
            for stage in self.model.stages
            if moving_rows(stage, objective)
        }
        self.passes = [(made[stage.name], at) for stage, at in passes if stage.name in made]
        self.images = draws * training.batch_size
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

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    def iterate(self, step: int) -> None:
        """Do one iteration."""
        current, batch = -1, None
        with numerics(self.training):
            for stage_pass, offset in self.passes:
                while batch is None or offset > current:
                    current, batch = current + 1, next(self._batches)
                stage_pass.play(batch, step)

    def _endless(self) -> Iterator[Batch]:
        while True:
            for x, y in self._loader:
                labels = as_given(self.model, self.spec, y)
                yield Batch(
                    x.to(self.device, non_blocking=True),
                    labels.to(self.device, non_blocking=True),
                    len(y),
                )


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


class _Plain:
    """`torch.optim.Adam` as it comes, in the place of a `PlayerOptimizer`."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self._optimizer = torch.optim.Adam(parameters, lr=5e-4, betas=(0.0, 0.9))

    def step(self, gradients: list[Tensor], step: int | None, clip_norm: float | None) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self._optimizer.step()
        self._optimizer.zero_grad()
