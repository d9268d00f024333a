"""Standard errors over images: against leaving out one image after another, and simulation."""

import math

import pytest
import torch
import torch.nn.functional as F

from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy
from bench.metrics.intra_class_diversity import IntraClassDiversity
from bench.metrics.jackknife import combined_error, mean_variance, pair_variance
from bench.metrics.ms_ssim import all_pairs_ms_ssim
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
