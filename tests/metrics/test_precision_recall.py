"""Precision and recall, density and coverage: references, copies, lost modes, few images."""

import math

import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from bench.metrics.features import distances
from bench.metrics.features.density_coverage import DensityCoverage
from bench.metrics.features.precision_recall import PrecisionRecall, precision_recall


def density_coverage(made, real, k=5):
    return DensityCoverage.values(made, real, k)[0]


BOTH = pytest.mark.parametrize("measure", [precision_recall, density_coverage])


def normal(n, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator, dtype=torch.float64)


def literal(made, real, k):
    """All four quantities by loops over pairs."""
    made, real = made.tolist(), real.tolist()

    def radii(points):
        return [
            sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)[k - 1]
            for i, p in enumerate(points)
        ]

    balls, reach = radii(real), radii(made)
    pairs = [[math.dist(m, r) for r in real] for m in made]
    inside = [[d <= radius for d, radius in zip(row, balls, strict=True)] for row in pairs]
    precision = sum(map(any, inside)) / len(made)
    recall = sum(
        any(pairs[j][i] <= reach[j] for j in range(len(made))) for i in range(len(real))
    ) / len(real)
    density = sum(map(sum, inside)) / (k * len(made))
    coverage = sum(map(any, zip(*inside, strict=True))) / len(real)
    return precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(60, 60), (40, 90), (90, 30)])
def test_they_are_the_definitions_taken_literally(n, m, k):
    made, real = 0.4 + 1.2 * normal(n), normal(m, seed=1)
    expected = pytest.approx(literal(made, real, k), rel=1e-6)
    assert (*precision_recall(made, real, k), *density_coverage(made, real, k)) == expected


@pytest.mark.parametrize("seed", range(3))
def test_precision_and_recall_are_those_of_torch_fidelity(seed):
    made, real = 0.3 + normal(300, 64, seed), normal(200, 64, seed=seed + 50)
    for options in ({}, {"save_cpu_ram": True}):
        found = prc_features_to_metric(made.float(), real.float(), verbose=False, **options)
        expected = found["precision"], found["recall"]
        assert precision_recall(made, real) == pytest.approx(expected, rel=1e-6)


@BOTH
def test_equal_sets(measure):
    x = normal(100)
    first, second = measure(x, x)
    assert second == 1
    assert first >= 1


def test_density_of_equal_distributions_is_about_one():
    density, coverage = density_coverage(normal(2000, 4), normal(2000, 4, seed=1))
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.02)  # Naeem et al., for k = 5


@BOTH
def test_the_order_of_the_rows_does_not_matter(measure):
    made, real = normal(120), normal(110, seed=1)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(2))
    assert measure(made[order], real) == measure(made, real)
    assert measure(made, real[order[order < 110]]) == pytest.approx(measure(made, real))


@pytest.mark.parametrize("block", [1, 64, 10**9])
def test_blocks_change_nothing(monkeypatch, block):
    made, real = normal(120), normal(110, seed=1)
    expected = density_coverage(made, real)
    monkeypatch.setattr(distances, "BLOCK", block)
    assert density_coverage(made, real) == expected


@BOTH
@pytest.mark.parametrize("value", [0.0, 0.1, 7.3])
def test_constant_images_against_themselves(measure, value):
    """By inner products their distances are not 0, and precision was 0."""
    points = (value * normal(1, 64).abs()).float().double()
    first, second = measure(points.repeat(300, 1), points.repeat(200, 1))
    assert second == 1
    assert first >= 1


def test_copies_cover_what_they_copy_and_nothing_else():
    real = normal(300)
    copies = real[:50].repeat(6, 1)
    precision, recall = precision_recall(copies, real)
    assert precision == 1
    assert recall == pytest.approx(50 / 300, rel=1e-6)


def test_a_lost_mode_lowers_recall_and_coverage_only():
    modes = [normal(200, seed=s) + 40 * torch.eye(8, dtype=torch.float64)[s] for s in range(4)]
    real, made = torch.cat([m[:100] for m in modes]), torch.cat([m[100:] for m in modes])
    lost = made[:200].repeat(2, 1) + 0.05 * normal(400, seed=9)
    precision, recall = precision_recall(made, real)
    less_precision, less_recall = precision_recall(lost, real)
    assert less_precision == pytest.approx(precision, abs=0.1)
    assert less_recall < 0.6 * recall
    density, coverage = density_coverage(made, real)
    less_density, less_coverage = density_coverage(lost, real)
    assert less_density == pytest.approx(density, abs=0.1)
    assert less_coverage < 0.6 * coverage


def test_an_outlier_among_the_real_images_fools_precision_more_than_density():
    real = torch.cat([normal(200), torch.full((1, 8), 30.0, dtype=torch.float64)])
    junk = normal(200, seed=1) + 15
    assert precision_recall(junk, real)[0] == 1
    assert density_coverage(junk, real)[0] < 0.25


@pytest.mark.parametrize(
    ("metric", "head", "names"),
    [
        (PrecisionRecall(), "precision-recall", ["precision", "recall"]),
        (DensityCoverage(), "density-coverage", ["density", "coverage"]),
    ],
    ids=["precision_recall", "density_coverage"],
)
def test_measurements_of_digits(metric, head, names, real, context, classifier):
    found = metric.measure(real, context)
    assert [f.metric for f in found] == names
    k = metric.k
    for one in found:
        assert one.protocol.startswith(f"{head}[extractor={classifier.name},n=500,real=train:500@")
        assert one.protocol.endswith(f",k={k}]")
        assert 0.4 < one.value < 1.3
