"""Generators as they are written today: gradient penalties, recurrent parts, loops over pixels."""

import torch
from torch import nn

from bench.data.base import DataSpec
from bench.training.interface import ConditionalGenerator, Stage


class GAN(ConditionalGenerator):
    """A Wasserstein GAN, to which the classes below add a penalty."""

    stages = (Stage("critic", ("critic",), repeat=2), Stage("generator", ("generator",)))
    objective = {
        "generator": {"fool": 1.0},
        "critic": {"compare": 1.0, "penalty": 10.0},
    }

    def __init__(self, spec: DataSpec, *, latent: int = 4) -> None:
        super().__init__()
        self.shape, self.classes, self.latent = spec.shape, spec.classes, latent
        pixels = torch.Size(spec.shape).numel()
        self.generator = nn.Sequential(
            nn.Linear(latent + spec.classes, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Linear(32, pixels),
            nn.Tanh(),
        )
        self.critic = self.make_critic(spec, pixels)

    def make_critic(self, spec, pixels):
        return nn.Sequential(
            nn.Linear(pixels + spec.classes, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
        )

    def joined(self, x, y):
        return torch.cat([x, nn.functional.one_hot(y, self.classes).to(x.dtype)], 1)

    def penalty(self, real, fake, y):
        return self.score(real, y).square().mean()

    def images(self, z, y):
        return self.generator(self.joined(z, y))

    def score(self, x, y):
        return self.critic(self.joined(x, y))[:, 0]

    def terms(self, stage, batch, wanted):
        y, real = batch.y, batch.x.flatten(1)
        fake = self.images(torch.randn(len(y), self.latent, device=real.device), y)
        if stage == "generator":
            return {"fool": -self.score(fake, y).mean()}
        compare = self.score(fake.detach(), y).mean() - self.score(real, y).mean()
        return {"compare": compare, "penalty": self.penalty(real, fake.detach(), y)}

    def sample(self, y, generator=None):
        z = torch.randn(len(y), self.latent, generator=generator).to(y.device)
        return self.images(z, y).view(-1, *self.shape)


class WassersteinPenalty(GAN):
    """WGAN-GP: slopes at points between real and generated images."""

    def penalty(self, real, fake, y):
        share = torch.rand(len(y), 1, device=real.device)
        between = (share * real + (1 - share) * fake).requires_grad_()
        score = self.score(between, y)
        (slope,) = torch.autograd.grad(score.sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class WassersteinPenaltyGradOutputs(GAN):
    """WGAN-GP, with the arguments that most public code has, through convolutions."""

    def make_critic(self, spec, pixels):
        return nn.Sequential(
            nn.Unflatten(1, (1, -1)),
            nn.Conv1d(1, 4, 5, stride=2),
            nn.InstanceNorm1d(4, affine=True),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool1d(4),
            nn.Flatten(),
            nn.Linear(16, 1),
        )

    def penalty(self, real, fake, y):
        share = torch.rand(len(y), 1, device=real.device)
        between = torch.autograd.Variable(share * real + (1 - share) * fake, requires_grad=True)
        score = self.critic(self.joined(between, y))
        slope = torch.autograd.grad(
            outputs=score,
            inputs=between,
            grad_outputs=torch.ones_like(score),
            create_graph=True,
            retain_graph=True,
            only_inputs=True,
        )[0]
        return ((slope.norm(2, dim=1) - 1) ** 2).mean()


class R1(GAN):
    """R1: slopes at real images."""

    objective = {"generator": {"fool": 1.0}, "critic": {"compare": 1.0, "penalty": 1.0}}

    def penalty(self, real, fake, y):
        real = real.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.score(real, y).sum(), real, create_graph=True)
        return 0.5 * slope.square().sum(1).mean()


class R1InPlace(R1):
    """R1 on the batch itself, `batch.x.requires_grad_()`, as much public code does it."""

    def terms(self, stage, batch, wanted):
        if stage == "critic":
            batch.x.requires_grad_()
        return super().terms(stage, batch, wanted)

    def penalty(self, real, fake, y):
        (slope,) = torch.autograd.grad(self.score(real, y).sum(), real, create_graph=True)
        return 0.5 * slope.square().sum(1).mean()


class Rows(ConditionalGenerator):
    """Rows of an image, one after another, by a recurrent network."""

    stages = (Stage("main", ("network", "head")),)
    objective = {"network": {"predict": 1.0}, "head": {"predict": 1.0}}
    kind = nn.LSTM

    def __init__(self, spec: DataSpec, *, hidden: int = 16) -> None:
        super().__init__()
        self.shape, self.classes = spec.shape, spec.classes
        self.width = spec.shape[-1]
        self.network = nn.ModuleDict(
            {
                "label": nn.Embedding(spec.classes, self.width),
                "rows": self.kind(self.width, hidden, num_layers=2, batch_first=True),
            }
        )
        self.head = nn.Linear(hidden, self.width)

    def terms(self, stage, batch, wanted):
        rows = batch.x.flatten(1).unflatten(1, (-1, self.width))
        first = self.network["label"](batch.y)[:, None]
        out, _ = self.network["rows"](torch.cat([first, rows[:, :-1]], 1))
        return {"predict": (self.head(out).tanh() - rows).square().mean()}

    def sample(self, y, generator=None):
        row, state, rows = self.network["label"](y)[:, None], None, []
        for _ in range(torch.Size(self.shape).numel() // self.width):
            out, state = self.network["rows"](row, state)
            noise = torch.randn(len(y), 1, self.width, generator=generator).to(y.device)
            row = (self.head(out).tanh() + 0.1 * noise).clamp(-1, 1)
            rows.append(row)
        return torch.cat(rows, 1).view(-1, *self.shape)


class RowsGRU(Rows):
    kind = nn.GRU


class PackedRows(Rows):
    """Sequences of different lengths, whose lengths are read."""

    def terms(self, stage, batch, wanted):
        rows = batch.x.flatten(1).unflatten(1, (-1, self.width))
        lengths = 1 + (batch.x.flatten(1).mean(1) > 0).long()
        first = self.network["label"](batch.y)[:, None]
        packed = nn.utils.rnn.pack_padded_sequence(
            torch.cat([first, rows[:, :-1]], 1),
            lengths.cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        out, _ = nn.utils.rnn.pad_packed_sequence(
            self.network["rows"](packed)[0], batch_first=True, total_length=rows.shape[1]
        )
        return {"predict": (self.head(out).tanh() - rows).square().mean()}


class Pixels(ConditionalGenerator):
    """Pixels, one after another, each drawn from a categorical distribution."""

    stages = (Stage("main", ("network",)),)
    objective = {"network": {"nll": 1.0}}

    def __init__(self, spec: DataSpec, *, levels: int = 4) -> None:
        super().__init__()
        self.shape, self.pixels, self.levels = spec.shape, torch.Size(spec.shape).numel(), levels
        self.network = nn.ModuleDict(
            {
                "label": nn.Embedding(spec.classes, 8),
                "pixel": nn.Linear(1, 8),
                "cell": nn.GRUCell(8, 8),
                "head": nn.Linear(8, levels),
            }
        )

    def step(self, pixel, state):
        state = self.network["cell"](self.network["pixel"](pixel), state)
        return self.network["head"](state), state

    def terms(self, stage, batch, wanted):
        x = batch.x.flatten(1)
        target = ((x + 1) / 2 * (self.levels - 1)).round().long()
        state, pixel, losses = self.network["label"](batch.y), torch.zeros_like(x[:, :1]), []
        for n in range(self.pixels):
            logits, state = self.step(pixel, state)
            losses.append(nn.functional.cross_entropy(logits, target[:, n]))
            pixel = x[:, n : n + 1]
        return {"nll": torch.stack(losses).mean()}

    def sample(self, y, generator=None):
        state, pixels = self.network["label"](y), []
        pixel = torch.zeros(len(y), 1, device=y.device)
        for _ in range(self.pixels):
            logits, state = self.step(pixel, state)
            drawn = torch.multinomial(logits.softmax(1).cpu(), 1, generator=generator).to(y.device)
            pixel = drawn / (self.levels - 1) * 2 - 1
            pixels.append(pixel)
        return torch.cat(pixels, 1).view(-1, *self.shape)


class UntilAccepted(Pixels):
    """Sampling that looks at values until all examples are accepted."""

    def sample(self, y, generator=None):
        x = super().sample(y, generator)
        while (bad := x.flatten(1).mean(1) > 0.5).any():
            again = super().sample(y[bad], generator)
            x[bad] = again.clamp(max=0.4)
        return x


class ReadsValue(GAN):
    """A weight that is found from a value, read in Python."""

    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        return {name: value * min(1.0, 0.5 + abs(value.item())) for name, value in values.items()}


class Halting(Rows):
    """Steps until all examples have come to rest: control flow that depends on data."""

    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        x, loss = batch.x.flatten(1), values["predict"]
        while x.abs().max() > 0.5:
            x = x / 2
            loss = loss * 1.01
        if batch.x.mean() > -2:
            loss = loss + 0.1 * self.head.weight.square().mean()
        return {"predict": loss}


class MaskedMean(Rows):
    """A mean over chosen examples, whose number depends on values."""

    def terms(self, stage, batch, wanted):
        rows = batch.x.flatten(1).unflatten(1, (-1, self.width))
        first = self.network["label"](batch.y)[:, None]
        out, _ = self.network["rows"](torch.cat([first, rows[:, :-1]], 1))
        error = (self.head(out).tanh() - rows).square()
        return {"predict": error[rows > -0.9].mean()}


class MeanFlow(ConditionalGenerator):
    """Mean velocities, whose term has a derivative in forward mode."""

    stages = (Stage("main", ("network",)),)
    objective = {"network": {"match": 1.0}}

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.shape, self.classes = spec.shape, spec.classes
        self.pixels = torch.Size(spec.shape).numel()
        self.network = nn.Sequential(
            nn.Linear(self.pixels + 2 + spec.classes, 32), nn.SiLU(), nn.Linear(32, self.pixels)
        )

    def velocity(self, z, end, start, y):
        label = nn.functional.one_hot(y, self.classes).to(z.dtype)
        return self.network(torch.cat([z, end, start, label], 1))

    def terms(self, stage, batch, wanted):
        x = batch.x.flatten(1)
        noise = torch.randn_like(x)
        start, end = torch.rand(2, len(x), 1, device=x.device).sort(0).values
        z, slope = (1 - end) * x + end * noise, noise - x
        velocity, change = torch.func.jvp(
            lambda *at: self.velocity(*at, batch.y),
            (z, end, start),
            (slope, torch.ones_like(end), torch.zeros_like(start)),
        )
        target = slope - (end - start) * change
        return {"match": (velocity - target.detach()).square().mean()}

    def sample(self, y, generator=None):
        noise = torch.randn(len(y), self.pixels, generator=generator).to(y.device)
        end = torch.ones(len(y), 1, device=y.device)
        x = noise - self.velocity(noise, end, 0 * end, y)
        return x.clamp(-1, 1).view(-1, *self.shape)
