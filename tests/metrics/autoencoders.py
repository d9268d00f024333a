"""Models whose codes are known, and a classifier that reads the class from a pixel."""

import torch
import torch.nn.functional as F
from torch import nn

from bench.data.base import DataSet, DataSpec, Split, fingerprint, to_float
from bench.metrics.base import Context, SampleSet
from bench.training.interface import Code

CPU = torch.device("cpu")
CLASSES, STEP = 4, 60
SPEC = DataSpec("marked", (1, 8, 8), tuple("abcd"))


def marked(per_class=40, spec=SPEC):
    """Return noise whose first pixel shows the class and whose lower half is all else."""
    y = torch.arange(spec.classes).repeat_interleave(per_class)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (len(y), *spec.shape), generator=generator, dtype=torch.uint8)
    x[:, 0, 0, 0] = (STEP * y).to(torch.uint8)
    split = Split(x, y)
    return DataSet(spec, split, split, split, False, fingerprint(split))


def context(model, data):
    return Context(data, CPU, cache=None, model=model)


def measure(metric, model, data):
    samples = SampleSet(data.test.x, data.test.y, data.spec)
    return metric.measure(samples, context(model, data))


def values(metric, model, data):
    return {m.metric: m.value for m in measure(metric, model, data)}


class PixelClassifier:
    """A classifier that reads the class from the first pixel."""

    name = "reader"

    def __init__(self, classes=CLASSES, step=STEP):
        self.classes, self.step = classes, step

    def logits(self, x):
        shown = (x[:, 0, 0, 0].float() / self.step).round().long()
        return F.one_hot(shown.clamp(max=self.classes - 1), self.classes).float()


class Halves(nn.Module):
    """The relevant code is the upper half of the image, the irrelevant one the lower half."""

    capabilities = ()

    def encode(self, x, y=None):
        upper, lower = x.flatten(1).chunk(2, dim=1)
        return Code(upper, lower)

    def decode(self, code, y=None):
        return torch.cat(code, dim=1).view(-1, 1, 8, 8).clamp(-1, 1)


class Exchanged(Halves):
    """The same with the parts exchanged: the label is in the irrelevant code."""

    def encode(self, x, y=None):
        return Code(*reversed(super().encode(x)))

    def decode(self, code, y=None):
        return super().decode(Code(*reversed(code)))


class Collapsed(Halves):
    """The irrelevant code is the same for all images."""

    def encode(self, x, y=None):
        code = super().encode(x)
        return code._replace(irrelevant=torch.ones_like(code.irrelevant))


class Deaf(Halves):
    """A decoder that ignores the irrelevant code."""

    def decode(self, code, y=None):
        return super().decode(Code(code.relevant, torch.zeros_like(code.irrelevant)))


class NeedsLabel(Halves):
    """The label is the relevant code, and both networks need it."""

    def encode(self, x, y=None):
        return Code(None, super().encode(x).irrelevant + 0 * y[:, None])

    def decode(self, code, y=None):
        upper = torch.zeros_like(code.irrelevant)
        upper[:, 0] = to_float((STEP * y).to(torch.uint8))
        return super().decode(Code(upper, code.irrelevant))


class CopiesLabel(NeedsLabel):
    """The same, with the label written into the irrelevant code too."""

    def encode(self, x, y=None):
        code = super().encode(x, y)
        return Code(None, torch.cat((code.irrelevant[:, 1:], y[:, None].float()), dim=1))


class Fixed(Halves):
    """Every image has the same code, and the code one image: all of it has one value."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = value

    def decode(self, code, y=None):
        return super().decode(Code(*(torch.full_like(part, self.value) for part in code)))
