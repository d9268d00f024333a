"""The Fréchet distance: torch-fidelity's answer, known Gaussians, and sets that are too small."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from bench.data.base import Split
from bench.errors import BenchError
from bench.metrics.base import SampleSet
from bench.metrics.extractors import feature_cache
from bench.metrics.features.fid import (
    FrechetDistance,
    Moments,
    frechet_distance,
    moments,
    symmetric_frechet_distance,
)
from tests.metrics.bars import first_of_each


def normal(n, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator, dtype=torch.float64)


def fidelity(first, second):
    statistics = [fid_features_to_statistics(x) for x in (first, second)]
    return fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]


def distance(first, second):
    """Return the distance, computed in both ways."""
    of_both = [moments(x) for x in (first, second)]
    found = frechet_distance(*of_both)
    scale = sum(np.trace(each.covariance) for each in of_both)
    symmetric = symmetric_frechet_distance(*of_both, torch.device("cpu"))
    assert symmetric == pytest.approx(found, rel=1e-6, abs=1e-6 * scale)
    return found


def with_moments(x, mean, deviation):
    """Give a sample exactly these moments, the dimensions uncorrelated."""
    x = x - x.mean(dim=0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False)
    return white.T * deviation + mean


@pytest.mark.parametrize(("n", "width"), [(500, 64), (70, 64), (20, 64), (2, 3)])
def test_it_is_that_of_torch_fidelity(n, width):
    mixing = normal(width, width, seed=2)
    first, second = normal(n, width) @ mixing, 0.3 + normal(n + 5, width, seed=1) @ mixing.T
    assert distance(first, second) == pytest.approx(fidelity(first, second), rel=1e-6)


def test_gaussians_with_known_moments():
    mean, deviation = torch.linspace(0, 1, 6).double(), torch.linspace(0.5, 3, 6).double()
    first = with_moments(normal(40, 6), torch.zeros(6), torch.ones(6))
    second = with_moments(normal(90, 6, seed=1), mean, deviation)
    expected = (mean.square() + (deviation - 1).square()).sum().item()
    assert distance(first, second) == pytest.approx(expected, rel=1e-10)
    assert distance(second, first) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [3, 20, 64, 300])
def test_a_set_and_itself(n):
    x = normal(n, 64)
    assert distance(x, x) == pytest.approx(0, abs=1e-5)


def test_singular_covariances_have_the_exact_distance():
    """It is known by another way: the roots of the product are singular values of the data."""
    first, second = normal(10, 200), 2 * normal(15, 200, seed=1) + 1
    centered = [(x - x.mean(dim=0)) / (len(x) - 1) ** 0.5 for x in (first, second)]
    difference = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    roots = torch.linalg.svdvals(centered[0] @ centered[1].T).sum()
    expected = difference + sum(x.square().sum() for x in centered) - 2 * roots
    assert distance(first, second) == pytest.approx(expected.item(), rel=1e-6)


def test_on_another_device_the_eigenvalues_are_computed_there():
    of_both = [moments(normal(10, 3, seed)) for seed in (0, 1)]
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        frechet_distance(*of_both, torch.device("meta"))


def test_constant_features_on_both_sides():
    assert distance(torch.zeros(5, 3), torch.full((4, 3), 2.0)) == pytest.approx(12)


def test_moments_are_taken_in_double_precision_and_in_parts(monkeypatch):
    monkeypatch.setattr(feature_cache, "PART", 100)
    x = (1000 + normal(1000, 4)).float()
    found = moments(x)
    np.testing.assert_allclose(found.mean, x.double().mean(dim=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(x.double().numpy().T), rtol=1e-11)
    assert found.mean.dtype == found.covariance.dtype == np.float64


def test_one_image_has_no_covariance():
    with pytest.raises(BenchError, match="a covariance needs at least 2 images, got 1"):
        moments(torch.zeros(1, 3))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_moments_that_are_not_finite_are_an_error(value):
    with pytest.raises(BenchError, match="not finite"):
        frechet_distance(Moments(np.zeros(2), np.eye(2)), Moments(np.full(2, value), np.eye(2)))


def test_a_distance_beyond_all_numbers_is_an_error():
    far = Moments(np.full(2, 1e200), np.eye(2))
    with np.errstate(over="ignore"), pytest.raises(BenchError, match="distance of the features is"):
        frechet_distance(Moments(np.zeros(2), np.eye(2)), far)


def test_the_protocol_and_the_value_on_digits(real, context, classifier, digits):
    (found,) = FrechetDistance().measure(real, context)
    assert found.metric == "fid"
    assert found.protocol.startswith(f"fid[extractor={classifier.name},n=500,real=train:")
    x = [classifier.extractor.outputs_of(split.x) for split in (digits.test, digits.train)]
    counts = torch.bincount(digits.train.y)
    assert f"real=train:{10 * counts.min()}@" in found.protocol
    # A few rows of the larger classes are left out.
    assert found.value == pytest.approx(fidelity(*(f.double() for f in x)), rel=0.05)


def test_a_noisier_set_is_farther(real, context):
    found = []
    for level in (0, 20, 60, 120):
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(-level, level + 1, real.x.shape, generator=generator)
        x = (real.x.int() + noise).clamp(0, 255).to(torch.uint8)
        found.append(FrechetDistance().measure(replace(real, x=x), context)[0].value)
    assert found == sorted(found)
    assert found[-1] > 2 * found[0]


def test_too_few_images_are_a_reason_with_the_number_needed(real, context):
    few = first_of_each(real, 6)
    (found,) = FrechetDistance().measure(few, context)
    assert found.value is None
    assert found.reason == (
        "60 samples are too few for 64 features, whose covariance would be singular: "
        "65 are needed; kid does with fewer"
    )


def test_within_the_classes(real, context, digits):
    whole, within = FrechetDistance(per_class=True).measure(real, context)
    assert (whole.metric, within.metric) == ("fid", "fid/per_class")
    assert within.protocol.startswith("fid/per_class[extractor=")
    count = real.per_class
    assert count < 65
    assert within.reason.startswith(f"{count} samples a class are too few for 64 features")
    twice = SampleSet(real.x.repeat(2, 1, 1, 1), real.y.repeat(2), real.spec)
    _, within = FrechetDistance(per_class=True).measure(twice, context)
    assert within.value > whole.value


def test_the_distance_within_the_classes_is_their_mean(real, context, classifier, digits):
    twice = SampleSet(real.x.repeat(2, 1, 1, 1), real.y.repeat(2), real.spec)
    per_class = int(torch.bincount(digits.train.y).min())
    train = Split(
        *(
            torch.cat([part[digits.train.y == c][:per_class] for c in range(10)])
            for part in (digits.train.x, digits.train.y)
        )
    )
    data = replace(digits, train=train)
    context = replace(context, data=data, memory={"domain 0": classifier})
    _, within = FrechetDistance(per_class=True).measure(twice, context)
    expected = []
    features_of = classifier.extractor.outputs_of
    for c in range(10):
        made, truth = (features_of(side.x[side.y == c]).double() for side in (twice, train))
        expected.append(fidelity(made, truth))
    assert within.value == pytest.approx(np.mean(expected), rel=1e-5)
