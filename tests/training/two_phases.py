"""A model that uses all that stages, weights, progress and `finish` offer."""

import torch
from torch import nn

from bench.data.base import DataSpec
from bench.training.interface import ConditionalGenerator, Stage


class TwoPhases(ConditionalGenerator):
    """An autoencoder, then class means of its codes, then their moments over all data."""

    stages = (
        Stage("codes", ("encoder", "decoder"), end=0.5),
        Stage("means", ("means",), start=0.5, every=2, batch=1.5),
        Stage("polish", ("decoder",), start=4, fresh=False, batch=0.5),
    )
    objective = {
        "encoder": {
            "reconstruct": 1.0,
            "small": {"weight": 0.5, "schedule": {"name": "linear", "final": 0.5}},
        },
        "decoder": {"reconstruct": 1.0, "annealed": 0.1},
        "means": {"distance": 1.0},
    }

    def __init__(self, spec: DataSpec, *, size: int = 4) -> None:
        super().__init__()
        self.shape, pixels = spec.shape, torch.Size(spec.shape).numel()
        self.encoder = nn.Sequential(nn.Linear(pixels, size), nn.Dropout(0.1))
        self.decoder = nn.Sequential(nn.Linear(size, pixels), nn.Tanh())
        self.means = nn.Embedding(spec.classes, size)
        self.register_buffer("moments", torch.zeros(spec.classes, size))
        self.seen: list[tuple[str, int, float]] = []  # stage, examples, share of the run

    def terms(self, stage, batch, wanted):
        x, y, _ = batch
        code = self.encoder(x.flatten(1))
        if stage == "means":
            return {"distance": (code - self.means(y)).square().mean()}
        error = (self.decoder(code).view_as(x) - x).square().mean()
        return {
            "reconstruct": error,
            "small": code.square().mean(),
            "annealed": (1 - self.progress.share) * error,
        }

    def finish(self, data):
        sums, counts = torch.zeros_like(self.moments), self.moments.new_zeros(len(self.moments), 1)
        for x, y, _ in data:
            sums.index_add_(0, y, self.encoder(x.flatten(1)))
            counts.index_add_(0, y, torch.ones_like(counts[y]))
        self.moments.copy_(sums / counts.clamp(min=1))

    def sample(self, y, generator=None):
        noise = torch.randn(len(y), self.moments.shape[1], generator=generator).to(y.device)
        return self.decoder(self.moments[y] + self.means(y) + noise).view(len(y), *self.shape)
