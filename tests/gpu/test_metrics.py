"""Metrics give on a GPU what they give on a CPU, up to rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.metrics.extractors.base import FeatureClassifier
from bench.metrics.extractors.vision_transformers import resized_as_pillow
from bench.metrics.features.cmmd import clip_distance
from bench.metrics.features.density_coverage import DensityCoverage
from bench.metrics.features.fid import Moments, frechet_distance, moments
from bench.metrics.features.kid import kernel_distance
from bench.metrics.features.precision_recall import precision_recall
from bench.metrics.inception_score import inception_score
from tests.metrics.bars import (
    OF_MODELS,
    OPTIONS,
    Bars,
    context_of,
    make_data,
    metric_of,
    samples_of,
)

CPU = torch.device("cpu")
TRAINED = ("classification_accuracy_score",)
"""Its classifier is trained on the device, by other sums."""

NAMES = sorted({*OPTIONS} - {*OF_MODELS, *TRAINED} | {"reconstruction", "inpainting"})


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_gives_the_same_on_both(name, device, tmp_path):
    data, further = make_data(), make_data(seed=5)
    # Without it some greys lie between two levels, and the order of a sum decides.
    model = Bars(1e-3, data.spec.shape)
    found = []
    for where in (CPU, device):
        context = context_of(data, tmp_path / where.type, model=model)
        stub = context.memory["domain 0"]
        extractor = replace(stub.extractor, device=where)
        classifier = FeatureClassifier(stub.name, stub.logits_of, where, extractor)
        context = replace(context, device=where, memory={"domain 0": classifier})
        found.append(metric_of(name).measure(samples_of(data, further.test.x), context))
    for here, there in zip(*found, strict=True):
        assert there.protocol == here.protocol
        numbers = [here.value or 0, here.error or 0]
        assert [there.value or 0, there.error or 0] == pytest.approx(numbers, rel=1e-5, abs=1e-9)


def normal(n, width, seed, device):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator).to(device)


def features(device, width=128):
    """Return features of two sets, the second ones farther from their mean."""
    scales = torch.linspace(0.01, 3, width, device=device)
    return [(1 + i / 9) * scales * normal(n, width, i, device) for i, n in enumerate((300, 400))]


DISTANCES = {
    "fid": lambda a, b: frechet_distance(moments(a), moments(b), a.device),
    "kid": lambda a, b: kernel_distance(a, b, 5, 200),
    "cmmd": clip_distance,
    "precision_recall": lambda a, b: precision_recall(a.double(), b.double()),
    "density_coverage": lambda a, b: DensityCoverage.values(a.double(), b.double(), 5)[0],
    "inception_score": lambda a, b: inception_score(a, splits=3),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_of_wide_features_agree(name, device):
    here, there = (DISTANCES[name](*features(where)) for where in (CPU, device))
    assert there == pytest.approx(here, rel=1e-5)


def test_singular_covariances_agree(device):
    generator = np.random.default_rng(0)
    first, second = (generator.standard_normal((100, 400)) for _ in range(2))
    sides = [Moments(x.mean(axis=0), np.cov(x.T)) for x in (first, 2 * second)]
    here, there = (frechet_distance(*sides, where) for where in (CPU, device))
    assert there == pytest.approx(here, rel=1e-5)


@pytest.mark.parametrize("size", [16, 224])
def test_images_are_resized_alike(size, device):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (4, 3, 32, 48), generator=generator, dtype=torch.uint8)
    here, there = (resized_as_pillow(x.to(where), size).cpu() for where in (CPU, device))
    # Some sums lie between two levels, and each of the two passes rounds.
    assert (here - there).abs().max() <= 2
    assert (here != there).float().mean() < 5e-3
