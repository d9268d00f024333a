"""Models with one mistake each, as beginners make them; its line ends in `# here`."""

import random

import numpy as np
import torch
from torch import nn

from bench.data.base import DataSpec
from bench.training.interface import Code, ConditionalGenerator, Posterior, Stage


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


class TwoStagesOfOneName(Sound):
    stages = (Stage("main", ("mean",)), Stage("main", ("mean",)))


class OwnProgress(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.progress = nn.Linear(2, 2)


class HiddenStateLate(Sound):
    stages = (*Sound.stages, Stage("late", ("mean",), start=1000, every=50))
    past = 0.0

    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        if stage == "late":
            self.past = 0.5 * self.past + 0.5 * values["small"].detach()
        return {**values, "small": values["small"] * (1 + self.past)}


class MovesInFinish(Sound):
    def finish(self, data):
        self.mean[0].weight.mul_(0.5)


class AverageOfNobody(Sound):
    average = {"decay": 0.9, "players": ["generator"]}


class BufferMadeInFinish(Sound):
    def finish(self, data):
        self.register_buffer("counts", torch.zeros(3))


class FinishesInAttribute(Sound):
    shift = 0.0

    def finish(self, data):
        self.shift = 0.1

    def sample(self, y, generator=None):
        return (super().sample(y, generator) + self.shift).clamp(-1, 1)


class OptionWithoutGenerator(Sound):
    def sample(self, y, generator=None, *, noisy: bool = False):
        samples = super().sample(y, generator)
        return (samples + torch.randn(samples.shape) if noisy else samples).clamp(-1, 1)


class EmptyInFinish(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.register_buffer("share", torch.zeros(()))

    def finish(self, data):
        self.share.copy_(sum((batch.y < 0).float().mean() for batch in data) / torch.zeros(()))


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


class Keywords(Sound):
    def __init__(self, spec: DataSpec, **options: float) -> None:
        super().__init__(spec)


class UnknownAnnotation(Sound):
    def __init__(self, spec: DataSpec, *, network: nn.Module = None) -> None:
        super().__init__(spec)


class ParameterTwice(Sound):
    def players(self):
        return {"mean": [*self.mean.parameters(), *self.parameters()]}


class PlayersAsGenerators(Sound):
    def players(self):
        return {"mean": self.mean.parameters()}


class PlayersAsModules(Sound):
    def players(self):
        return {"mean": [self.mean]}


class NumpyInitialization(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.register_buffer("scale", torch.tensor(np.random.rand()))


class SumWithNone(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        extra = values.get("extra")
        return {**values, "small": values["small"] + extra}  # here


class NoiseIfWanted(Sound):
    def terms(self, stage, batch, wanted):
        noise = torch.randn(2)[len(wanted) - 1]
        return {n: v * noise for n, v in super().terms(stage, batch, wanted).items()}


class ListOfModules(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.layers = [nn.Linear(spec.classes, 1)]
        self.classes = spec.classes

    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        y = nn.functional.one_hot(batch.y, self.classes).float()
        return {**values, "small": values["small"] * self.layers[0](y).mean()}


class DetachedTerm(Sound):
    def terms(self, stage, batch, wanted):
        with torch.no_grad():
            images = self.images(batch.y)
        error = (batch.x - self.images(batch.y)).square().mean()
        return {
            "reconstruct": error,
            "small": images.square().mean(),  # here
        }


class MovesParameters(Sound):
    def terms(self, stage, batch, wanted):
        self.mean[0].weight.data.clamp_(-0.5, 0.5)  # here
        return super().terms(stage, batch, wanted)


class AssignsBuffer(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.register_buffer("past", torch.zeros(()))

    def terms(self, stage, batch, wanted):
        self.past = 0.9 * self.past + 0.1 * batch.x.mean()  # here
        return super().terms(stage, batch, wanted)


class Evaluates(Sound):
    def terms(self, stage, batch, wanted):
        self.eval()  # here
        return super().terms(stage, batch, wanted)


class TrainsFrozen(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).requires_grad_(False)

    def terms(self, stage, batch, wanted):
        self.train()  # here
        return super().terms(stage, batch, wanted)


class WritesBatch(Sound):
    def terms(self, stage, batch, wanted):
        batch.x.add_(0.1 * torch.randn_like(batch.x))  # here
        return super().terms(stage, batch, wanted)


class StateInAttribute(Sound):
    past = 0.0

    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        self.past = 0.5 * self.past + 0.5 * values["small"].detach()
        return {**values, "small": values["small"] * (1 + self.past)}


class OnTheCPU(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        weights = torch.linspace(0, 1, len(batch.x))
        error = (batch.x - self.images(batch.y)).square().flatten(1).mean(1)
        return {**values, "reconstruct": (weights * error).mean()}  # here


class HardCuda(Sound):
    def terms(self, stage, batch, wanted):
        noise = torch.randn(batch.x.shape).cuda()  # here
        return {"reconstruct": (batch.x - self.images(batch.y) + noise).square().mean()}


class ReadsValues(Sound):
    def terms(self, stage, batch, wanted):
        values = super().terms(stage, batch, wanted)
        if values["small"] > 10:  # here
            values["small"] = 10 + 0 * values["small"]
        return values


class IgnoresGenerator(Sound):
    def sample(self, y, generator=None):
        return self.images(y).clamp(-1, 1)


class DefaultGenerator(Sound):
    def sample(self, y, generator=None):
        noise = torch.randn(len(y), *self.shape)  # here
        return (self.images(y) + 0.1 * noise.to(y.device)).clamp(-1, 1)


class OnTheLabelsDevice(Sound):
    def sample(self, y, generator=None):
        noise = torch.randn(len(y), *self.shape, generator=generator, device=y.device)  # here
        return (self.images(y) + 0.1 * noise).clamp(-1, 1)


class ZeroToOne(Sound):
    def sample(self, y, generator=None):
        return super().sample(y, generator) / 2 + 0.5


class TrainingModeInSample(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.norm = nn.BatchNorm2d(spec.shape[0], affine=False)

    def sample(self, y, generator=None):
        self.train()  # here
        return self.norm(super().sample(y, generator)).clamp(-1, 1)


class CountsSamples(Sound):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.register_buffer("drawn", torch.zeros(()))

    def sample(self, y, generator=None):
        self.drawn += len(y)  # here
        return super().sample(y, generator)


class NormalizedByBatch(Sound):
    def sample(self, y, generator=None):
        x = super().sample(y, generator)
        return (x - x.mean(0)).clamp(-1, 1)


class ZeroOutput(Sound):
    """`Sound` with two players, one of them a last layer that begins with zeros."""

    stages = (Stage("main", ("label", "output")),)
    objective = {
        "label": {"reconstruct": 1.0, "small": 0.1},
        "output": {"reconstruct": 1.0, "small": 0.1},
    }

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        del self.mean
        self.label = nn.Embedding(spec.classes, 8)
        self.output = nn.Linear(8, int(np.prod(spec.shape)), bias=False)
        nn.init.zeros_(self.output.weight)

    def images(self, y):
        return self.output(self.label(y)).view(len(y), *self.shape)


class Encoding(Sound):
    """`Sound` with a code, which is the image."""

    def encode(self, x, y=None):
        return Code(None, x.flatten(1))

    def decode(self, code, y=None):
        return code.irrelevant.view(-1, *self.shape).clamp(-1, 1)

    def posterior(self, x, y=None):
        mean = self.encode(x, y).irrelevant
        return Posterior(None, (mean, torch.ones_like(mean)))

    def class_prior(self):
        return None


class NoisyCode(Encoding):
    def encode(self, x, y=None):
        return Code(None, x.flatten(1) + torch.randn(len(x), 1))


class CodeOfBatch(Encoding):
    def encode(self, x, y=None):
        return Code(None, x.flatten(1).cumsum(0) / len(x))


class CodeIsNotTheMean(Encoding):
    def posterior(self, x, y=None):
        mean = x.flatten(1) / 2
        return Posterior(None, (mean, torch.ones_like(mean)))


class DecodesOutOfRange(Encoding):
    def decode(self, code, y=None):
        return 255 * super().decode(code, y).abs()


class OneLogitTooFew(Sound):
    def class_logits(self, x):
        return x.flatten(1)[:, : len(self.mean[0].weight) - 1]


class ClassifiesDraws(Sound):
    def class_logits(self, x):
        return torch.randn(len(x), len(self.mean[0].weight))


class Switching(Encoding):
    """`Encoding` of images with attributes; the last columns of the code are the attributes."""

    capabilities = ("attributes",)

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.count = len(spec.attributes or ())

    def images(self, y):
        return super().images(y[:, 0].clamp(min=0) if y.ndim > 1 else y)

    def encode(self, x, y=None):
        return Code(torch.zeros(len(x), self.count or 1), x.flatten(1))

    def posterior(self, x, y=None):
        code = self.encode(x, y)
        return Posterior(*((part, torch.ones_like(part)) for part in code))

    def class_prior(self):
        return torch.zeros(len(self.mean[0].weight), self.count or 1), torch.ones(
            len(self.mean[0].weight), self.count or 1
        )

    def switch(self, code, attribute, values):
        relevant = code.relevant.clone()
        relevant[:, attribute] = values.float()
        return code._replace(relevant=relevant)


class SwitchesInPlace(Switching):
    def switch(self, code, attribute, values):
        code.relevant[:, attribute] = values.float()
        return code
