"""Standard errors over images: against leaving out one image after another, and simulation."""

import math

import pytest
import torch
import torch.nn.functional as F

from bench.data.moons import CENTERS
from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy
from bench.metrics.extractors.feature_cache import features as network_features
from bench.metrics.features.density_coverage import DensityCoverage
from bench.metrics.images_by_class import sampled
from bench.metrics.intra_class_diversity import IntraClassDiversity
from bench.metrics.jackknife import (
    combined_error,
    jackknife_variance,
    mean_variance,
    pair_variance,
    variances_without,
)
from bench.metrics.ms_ssim import all_pairs_ms_ssim
from bench.metrics.point_fit import RADIUS, ArcFit
from bench.metrics.within_class_variance import WithinClassVariance
from tests.metrics.bars import first_of_each


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def kernel(x):
    """Half the squared differences of all pairs, whose mean is the sample variance."""
    i, j = torch.triu_indices(len(x), len(x), 1)
    return (x[i] - x[j]).square() / 2


def left_out(estimate, items):
    """Return the jackknife variance of any estimate, by its definition."""
    n = len(items)
    without = torch.tensor(
        [float(estimate(items[torch.arange(n) != i])) for i in range(n)], dtype=torch.float64
    )
    return float((n - 1) / n * (without - without.mean()).square().sum())


@pytest.mark.parametrize("n", [3, 4, 17])
def test_pairs_equal_leaving_out_one_item_after_another(n):
    x = torch.randn(n, generator=generator(n), dtype=torch.float64)
    expected = left_out(lambda items: kernel(items).mean(), x)
    assert pair_variance(kernel(x), n) == pytest.approx(expected, rel=1e-12)


def test_means_equal_leaving_out_one_item_after_another():
    x = torch.randn(9, generator=generator(), dtype=torch.float64)
    assert mean_variance(x) == pytest.approx(left_out(torch.mean, x), rel=1e-12)


def test_variances_equal_leaving_out_one_item_after_another():
    x = torch.randn(9, generator=generator(), dtype=torch.float64)
    found = jackknife_variance(variances_without((x - x.mean()).square()))
    assert found == pytest.approx(left_out(torch.var, x), rel=1e-12)
    assert found == pytest.approx(pair_variance(kernel(x), 9), rel=1e-12)


def over_classes(estimate, x, y):
    """Return the standard error of the mean over classes, leaving out one image after another."""
    classes = [x[y == label] for label in range(int(y.max()) + 1)]
    return math.sqrt(sum(left_out(estimate, of_class) for of_class in classes)) / len(classes)


def test_variance_within_a_class_equals_leaving_out_one_image_after_another(
    real, context, classifier
):
    samples = first_of_each(real, 5)
    pixels, features = WithinClassVariance().measure(samples, context)
    x = samples.x.double().flatten(1) / 255
    expected = over_classes(lambda items: items.var(dim=0).mean(), x, samples.y)
    assert pixels.error == pytest.approx(expected, rel=1e-9)
    seen = network_features(context, classifier.extractor, sampled(samples), is_real=False)
    labels = torch.arange(len(seen)) % 10
    expected = over_classes(lambda items: items.var(dim=0).mean(), seen.double(), labels)
    assert features.error == pytest.approx(expected, rel=1e-4)
    two = WithinClassVariance().measure(first_of_each(real, 2), context)
    assert [found.error for found in two] == [None, None]


def test_density_has_the_error_of_a_mean_over_samples(real, context, classifier):
    samples = first_of_each(real, 20)
    density, coverage = DensityCoverage().measure(samples, context)
    comparison = DensityCoverage().compare(samples, context).equally_many(10_000)
    x, others = (part.double() for part in comparison.features())
    radii = torch.cdist(others, others).kthvalue(6, dim=1).values
    parts = (torch.cdist(x, others) <= radii).sum(dim=1).double() / 5
    labels = torch.arange(len(x)) % 10
    assert density.error == pytest.approx(over_classes(torch.mean, parts, labels), rel=1e-6)
    assert coverage.error is None
    assert DensityCoverage(k=2).measure(first_of_each(real, 1), context)[0].error is None


def test_arcs_equal_leaving_out_one_point_after_another(contexts, moons):
    x, y = moons.test.x[::7] * 1.1, moons.test.y[::7]
    count = int(torch.bincount(y).min())
    samples = first_of_each(SampleSet(x, y, moons.spec), count)
    spread, coverage, distance = ArcFit().measure(samples, contexts(moons))
    assert distance.error is None
    variances = []
    for label, center in enumerate(CENTERS):
        points, test = (part.x[part.y == label].double() for part in (samples, moons.test))
        center = torch.tensor(center).double()
        scale = (test - center).norm(dim=1).std()

        def spread_of(items, center=center, scale=scale):
            return (items - center).norm(dim=1).std() / scale

        def coverage_of(items, test=test):
            return 100 * (torch.cdist(test, items).amin(dim=1) < RADIUS).double().mean()

        variances.append((left_out(spread_of, points), left_out(coverage_of, points)))
    of_spread, of_coverage = zip(*variances, strict=True)
    assert spread.error == pytest.approx(math.sqrt(sum(of_spread)) / len(CENTERS), rel=1e-6)
    assert coverage.error == pytest.approx(math.sqrt(sum(of_coverage)) / len(CENTERS), rel=1e-6)
    assert min(spread.error, coverage.error) > 0


def images(n=5):
    x = torch.rand(n, 1, 16, 16, generator=generator(1), dtype=torch.float64)
    return F.interpolate(x, size=176, mode="bilinear").clamp(0, 1)


def test_diversity_equals_leaving_out_one_image_after_another():
    x = images()
    expected = left_out(lambda items: all_pairs_ms_ssim(items).mean(), x)
    assert pair_variance(all_pairs_ms_ssim(x), len(x)) == pytest.approx(expected, rel=1e-6)


def test_the_metric_adds_up_the_variances_of_its_classes(real, context):
    samples = first_of_each(real, 4)
    (found,) = IntraClassDiversity(size=176).measure(samples, context)
    variances = []
    for label in range(10):
        x = samples.x[samples.y == label].float() / 255
        x = F.interpolate(x, size=176, mode="bilinear", align_corners=False).clamp(0, 1)
        variances.append(left_out(lambda items: all_pairs_ms_ssim(items).double().mean(), x))
    assert found.error == pytest.approx(math.sqrt(sum(variances)) / 10, rel=1e-3)
    assert 0.005 < found.error < 0.1


def test_pairs_cover_the_scatter_of_simulated_sets():
    n, repeats = 30, 3000
    sets = torch.randn(repeats, n, generator=generator(2), dtype=torch.float64)
    scatter = float(sets.var(dim=1).var())  # of the mean over pairs, which is the variance
    assert scatter == pytest.approx(2 / (n - 1), rel=0.1)  # in theory
    claimed = sum(pair_variance(kernel(x), n) for x in sets) / repeats
    assert claimed / scatter == pytest.approx(1 + 1 / n, abs=0.12)
    pairs = n * (n - 1) / 2
    naive = sum(float(kernel(x).var()) / pairs for x in sets[:300]) / 300
    assert naive < scatter / 4  # what the scatter of pairs alone would promise


def test_shares_cover_the_scatter_of_simulated_sets():
    repeats, n, chances = 3000, 20, torch.tensor([0.9, 0.5, 0.7], dtype=torch.float64)
    draws = torch.rand(repeats, 3, n, generator=generator(3), dtype=torch.float64)
    right = (draws < chances[:, None]).double()
    scatter = float(right.mean(dim=(1, 2)).var())
    claimed = [combined_error(list(map(mean_variance, classes))) ** 2 for classes in right]
    assert sum(claimed) / repeats == pytest.approx(scatter, rel=0.1)


def test_a_share_has_the_binomial_error():
    right = torch.tensor([1.0] * 30 + [0.0] * 10)
    assert mean_variance(right) == pytest.approx(0.75 * 0.25 / 39)


def test_accuracy_has_the_error_of_its_classes(real, context, classifier):
    (found,) = ClassAccuracy().measure(real, context)
    right = classifier.logits(real.x).argmax(dim=1) == real.y
    p = torch.stack([right[real.y == label].double().mean() for label in range(10)])
    assert found.error == pytest.approx(100 * float((p * (1 - p) / 49).sum().sqrt()) / 10)
    unequal = SampleSet(real.x[:400], real.y[:400], real.spec)
    assert ClassAccuracy().measure(unequal, context)[0].error > 0


def test_too_few_images_have_no_error(real, context, classifier):
    samples = first_of_each(real, 2)
    assert IntraClassDiversity(size=176).measure(samples, context)[0].error is None
    first = SampleSet(samples.x[::2], samples.y[::2], real.spec)
    assert ClassAccuracy().measure(first, context)[0].error is None


def test_copies_have_no_error_at_all(real, context):
    x = torch.stack([real.x[real.y == label][0] for label in range(10)]).repeat_interleave(3, 0)
    samples = SampleSet(x, torch.arange(10).repeat_interleave(3), real.spec)
    assert IntraClassDiversity(size=176).measure(samples, context)[0].error < 1e-6


@pytest.mark.parametrize(("pairs", "n"), [(1, 2), (4, 4), (0, 0)])
def test_what_is_no_set_of_pairs_is_refused(pairs, n):
    with pytest.raises(ValueError, match=f"pairs of {n} images, got \\[{pairs}\\] values"):
        pair_variance(torch.zeros(pairs), n)
    with pytest.raises(ValueError, match="at least 2 values, got 1"):
        mean_variance(torch.zeros(1))
    with pytest.raises(ValueError, match="at least 3 images, got 2"):
        variances_without(torch.zeros(2))
