"""A world in which every metric of images has a value: bars, a classifier, and a model of them.

An image is noise around a level, 40, 120 or 200. Its class is the level, and counts the attributes
`lit` and `bright` that it has. The classifier goes by the level, and its features are the means of
nine fields. The relevant code of the model is a number for each attribute, and the irrelevant code
is the rest of the image, so the model encodes and decodes without an error.
"""

import torch
import torch.nn.functional as F
from torch import nn

from bench import registry
from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors.base import FeatureClassifier, FeatureExtractor
from bench.training.interface import Code, Posterior

CPU = torch.device("cpu")
CLASSES, PER_CLASS = 3, 30
COMBINATIONS = ((0, 0), (1, 0), (1, 1))
LOWEST, STEP = 40, 80

OPTIONS = {
    "inception_score": {},
    "class_accuracy": {},
    "fid": {"per_class": True},
    "kid": {"per_class": True},
    "cmmd": {"extractor": "domain", "per_class": True},
    "precision_recall": {},
    "density_coverage": {},
    "memorization": {},
    "intra_class_diversity": {"per_class": 3, "size": 161},
    "intra_class_diversity_native": {"per_class": 3},
    "attribute_diversity": {"per_class": 16, "size": 161},
    "within_class_variance": {},
    "classification_accuracy_score": {"per_class": 4},
    "attribute_accuracy": {},
    "attribute_switch": {},
    "classification_accuracy": {},
    "leakage": {},
    "prior_fit": {},
    "rate": {},
    "reconstruction": {},
    "inpainting": {},
    "swap": {"pairs": 60},
}
"""Small options of each metric of images."""

OF_MODELS = (
    *("attribute_switch", "leakage", "prior_fit", "rate", "reconstruction", "inpainting", "swap"),
    "classification_accuracy",
)
"""Metrics that look at a model and real images, and not at samples."""


def level_logits(x):
    """Return the logits of the three classes."""
    levels = LOWEST + STEP * torch.arange(CLASSES, dtype=torch.float64, device=x.device)
    return -((x.double().mean(dim=(1, 2, 3))[:, None] - levels) ** 2) / 100


def fields(x):
    return F.adaptive_avg_pool2d(x.float(), 3).flatten(1)


class Bars(nn.Module):
    """The model; `wrong` is added to what it decodes."""

    capabilities = ()

    def __init__(self, wrong=0.0, shape=(1, 8, 8)):
        super().__init__()
        self.wrong, self.shape = wrong, shape

    def encode(self, x, y=None):
        level = (x.flatten(1).mean(dim=1) * 127.5 + 127.5 - LOWEST) / STEP
        parts = torch.stack((level.clamp(max=1), level.clamp(min=1) - 1), dim=1)
        return Code(parts, x.flatten(1) - x.flatten(1).mean(dim=1, keepdim=True))

    def decode(self, code, y=None):
        level = (LOWEST + STEP * code.relevant.sum(dim=1, keepdim=True)) / 127.5 - 1
        return ((level + code.irrelevant).view(-1, *self.shape) + self.wrong).clamp(-1, 1)

    def posterior(self, x, y=None):
        return Posterior(*((part, torch.full_like(part, 0.01)) for part in self.encode(x)))

    def class_prior(self):
        means = torch.tensor(COMBINATIONS).float()
        return means, torch.full_like(means, 0.0107)  # 0.01, and what noise adds

    def class_logits(self, x):
        return level_logits(x.flatten(1)[:, None, None] * 127.5 + 127.5)

    def switch(self, code, attribute, values):
        relevant = code.relevant.clone()
        relevant[:, attribute] = values.float()
        return Code(relevant, code.irrelevant)


def draw_bars(per_class, generator, shape=(1, 8, 8), levels=(40, 120, 200), noise=40):
    """Return images of noise around the level of their class, with random landmarks."""
    y = torch.arange(CLASSES).repeat_interleave(per_class)
    noise = torch.randint(-noise, noise, (len(y), *shape), generator=generator)
    x = (torch.tensor(levels)[y][:, None, None, None] + noise).to(torch.uint8)
    points = torch.rand(len(y), 5, 2, generator=torch.Generator().manual_seed(0))
    return Split(x, y, points * torch.tensor(shape[:0:-1]))


def make_data(shape=(1, 8, 8), per_class=PER_CLASS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    train, test = (draw_bars(per_class, generator, shape) for _ in range(2))
    names, attributes = ("a", "b", "c"), ("lit", "bright")
    spec = DataSpec("bars", shape, names, attributes, COMBINATIONS)
    return DataSet(spec, train, test, test, False, fingerprint(train, test))


def context_of(data, tmp_path, *, logits=level_logits, features=fields, model=None):
    """Return a context whose domain classifier is that of this world."""
    width = 9 * data.spec.shape[0]
    extractor = FeatureExtractor("stub@0", features, width, CPU)
    classifier = FeatureClassifier("stub@0", logits, CPU, extractor)
    model = Bars(shape=data.spec.shape) if model is None else model
    return Context(data, CPU, tmp_path, model=model, memory={"domain 0": classifier})


def samples_of(data, x=None):
    return SampleSet(data.test.x if x is None else x, data.test.y, data.spec)


def shuffled(split, seed=0):
    """Return examples in another order; of a sample set or of a split."""
    order = torch.randperm(len(split.y), generator=torch.Generator().manual_seed(seed))
    if isinstance(split, Split):
        return split.take(order)
    return SampleSet(split.x[order], split.y[order], split.spec)


def first_of_each(samples, count):
    """Return the first samples of each class."""
    labels = range(samples.spec.classes)
    rows = torch.cat([(samples.y == label).nonzero()[:count, 0] for label in labels])
    return SampleSet(samples.x[rows], samples.y[rows], samples.spec)


def metric_of(name, **options):
    return registry.load("metric", name)(**OPTIONS[name] | options)
