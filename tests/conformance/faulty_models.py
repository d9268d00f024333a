"""Models with one mistake each, as beginners make them; its line ends in `# here`."""

import random

import numpy as np
import torch
from torch import nn

from bench.data.base import DataSpec
from bench.training.interface import ConditionalGenerator, Stage


class Sound(ConditionalGenerator):
    """The mean image of each class, scaled, with noise."""

    stages = (Stage("main", ("mean",)),)
    objective = {"mean": {"reconstruct": 1.0, "small": 0.1}}

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Embedding(spec.classes, int(np.prod(spec.shape))))
        self.shape = spec.shape

    def images(self, y):
        return self.mean(y).view(len(y), *self.shape)

    def terms(self, stage, batch, wanted):
        error = (batch.x - self.images(batch.y)).square().mean()
        return {"reconstruct": error, "small": self.images(batch.y).square().mean()}

    def sample(self, y, generator=None):
        noise = torch.randn(len(y), *self.shape, generator=generator).to(y.device)
        return (self.images(y) + 0.1 * noise).clamp(-1, 1)


class ForgottenParameter(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.scale = nn.Parameter(torch.ones(1))


class UnusedPlayer(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.head = nn.Linear(2, 2)


class TermNotReturned(Sound):
    def terms(self, stage, batch, wanted):
        return {"reconstruct": super().terms(stage, batch, wanted)["reconstruct"]}


class NoSuperInit(Sound):
    def __init__(self, spec: DataSpec) -> None:
        self.mean = nn.Embedding(spec.classes, 64)  # here


class Plain(ConditionalGenerator):
    """All of `Sound` but what is declared."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Embedding(spec.classes, int(np.prod(spec.shape))))
        self.shape = spec.shape

    images, terms, sample = Sound.images, Sound.terms, Sound.sample


class NoStages(Plain):
    objective = Sound.objective


class NoObjective(Plain):
    stages = Sound.stages


class StringPlayers(Sound):
    stages = (Stage("main", ("mean")),)


class StageNoTuple(Sound):
    stages = Stage("main", ("mean",))


class UnknownPlayer(Sound):
    stages = (Stage("main", ("mean", "critic")),)


class UnknownPlayerInObjective(Sound):
    objective = {**Sound.objective, "critic": {"small": 1.0}}


class UnknownTerm(Sound):
    objective = {"mean": {"reconstruct": 1.0, "smal": 0.1}}


class LooksAtValues(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if self.mean[0].weight.sum() > 0:  # here
            self.mean[0].weight.data.neg_()


class Item(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        factor = 1 + values["small"].item()  # here
        return {**values, "reconstruct": factor * values["reconstruct"]}


class NumpyRandom(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        return {**values, "small": values["small"] * np.random.rand()}  # here


class PythonRandom(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        return {**values, "small": values["small"] * random.random()}  # here


class NumpyRandomSamples(Sound):
    def sample(self, y, generator=None):
        noise = torch.from_numpy(np.random.randn(len(y), *self.shape)).float()  # here
        return (self.images(y) + 0.1 * noise).clamp(-1, 1)


class Dropout(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.mean.append(nn.Dropout(0.5))

    def sample(self, y, generator=None):
        self.train()
        return super().sample(y, generator)


class NotANumber(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        return {**values, "small": (values["small"] - 1e6).sqrt()}


class WrongShape(Sound):
    def sample(self, y, generator=None):
        return super().sample(y, generator).flatten(1)


class TermOfSeveral(Sound):
    def terms(self, stage, batch, wanted):
        return {**super().terms(stage, batch, wanted), "small": self.images(batch.y).square()}


class WrongType(Sound):
    def terms(self, stage, batch, wanted):
        return {name: v.double() for name, v in super().terms(stage, batch, wanted).items()}


class NoTensor(Sound):
    def terms(self, stage, batch, wanted):
        return {**super().terms(stage, batch, wanted), "small": 0.0}


class NoMapping(Sound):
    def terms(self, stage, batch, wanted):
        return super().terms(stage, batch, wanted)["small"]


class Detached(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        return {name: value.detach() for name, value in values.items()}


class WrongSize(Sound):
    def terms(self, stage, batch, wanted):
        return {"reconstruct": (batch.x - self.mean(batch.y)).square().mean()}  # here


class NoSample(ConditionalGenerator):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    terms = Sound.terms


class NoGenerator(Sound):
    def sample(self, y):
        return super().sample(y)


class NotASubclass(nn.Module):
    pass


class Untyped(Sound):
    def __init__(self, spec, width=1):
        super().__init__(spec)


class NoSpec(Sound):
    def __init__(self) -> None:
        super().__init__(DataSpec("blobs", (1, 8, 8), ("0", "1", "2")))


class RaisesInInit(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.wrong = nn.Linear("2", 2)  # here


class CountsCalls(Sound):
    calls = 0

    def terms(self, stage, batch, wanted):
        self.calls += 1
        return {n: v * self.calls for n, v in super().terms(stage, batch, wanted).items()}


class OutOfRange(Sound):
    def sample(self, y, generator=None):
        return 3 * super().sample(y, generator) + 2
