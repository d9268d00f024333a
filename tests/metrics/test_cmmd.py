"""CMMD: the authors' formula taken literally, closed forms, and what it does with few images."""

import numpy as np
import pytest
import torch

from bench.metrics.features import cmmd, distances
from bench.metrics.features.cmmd import ClipDistance, clip_distance


def normal(n, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator, dtype=torch.float64)


def literal(first, second):
    """The biased estimate of Gretton et al. (2012), equation 5, of embeddings of length 1."""
    x, y = (side.numpy() / np.linalg.norm(side, axis=1, keepdims=True) for side in (first, second))

    def kernel(a, b):
        return np.mean(np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * 10**2)))

    return 1000 * (kernel(x, x) + kernel(y, y) - 2 * kernel(x, y))


@pytest.mark.parametrize(("n", "m", "width"), [(40, 40, 16), (30, 70, 768), (1, 5, 3)])
def test_it_is_that_of_the_formula(n, m, width):
    first, second = normal(n, width), 0.3 + normal(m, width, seed=1)
    expected = literal(first, second)
    assert clip_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert clip_distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_two_points_at_a_right_angle():
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    assert clip_distance(first, second) == pytest.approx(2000 * (1 - np.exp(-2 / 200)), rel=1e-9)


def test_lengths_and_order_do_not_matter_and_equal_sets_have_no_distance():
    first, second = normal(30), normal(40, seed=1) + 1
    expected = clip_distance(first, second)
    assert clip_distance(first.flip(0), 7 * second) == pytest.approx(expected, rel=1e-9)
    assert 0 <= clip_distance(first, first.flip(0)) < 1e-9


@pytest.mark.parametrize("block", [1, 64, 10**9])
def test_blocks_change_nothing(monkeypatch, block):
    first, second = normal(30), normal(40, seed=1) + 1
    expected = clip_distance(first, second)
    monkeypatch.setattr(distances, "BLOCK", block)
    assert clip_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_the_real_side_is_computed_once_and_the_value_is_that_of_the_features(
    real, context, classifier, monkeypatch
):
    (found,) = ClipDistance(extractor="domain").measure(real, context)
    assert found.protocol.startswith(f"cmmd[extractor={classifier.name},n=500,real=train:")
    assert found.protocol.endswith(",sigma=10,scale=1000]")
    calls, mean = [], cmmd._mean
    monkeypatch.setattr(cmmd, "_mean", lambda *sides: calls.append(sides) or mean(*sides))
    assert ClipDistance(extractor="domain").measure(real, context) == [found]
    assert len(calls) == 2
