"""The kernel distance: torch-fidelity's answer, the formula taken literally, and no bias."""

import pytest
import torch
from torch_fidelity.metric_kid import kernel_mmd, kid_features_to_metric

from bench.errors import BenchError
from bench.metrics.base import SampleSet
from bench.metrics.features.kid import KernelDistance, kernel_distance, unbiased_mmd


def normal(n, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator, dtype=torch.float64)


def distance(first, second, subsets=100, size=1000):
    return kernel_distance(first, second, subsets, size)


def literal(x, y):
    """The unbiased estimate, pair by pair."""

    def kernel(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    n = len(x)
    within = sum(kernel(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within / (n * (n - 1)) - 2 * between / n**2


@pytest.mark.parametrize(("n", "m", "size"), [(300, 400, 100), (120, 120, 120), (50, 90, 50)])
def test_it_is_that_of_torch_fidelity(n, m, size):
    first, second = normal(n), 0.5 + normal(m, seed=1)
    found = kid_features_to_metric(
        first, second, kid_subsets=20, kid_subset_size=size, verbose=False
    )
    expected = found["kernel_inception_distance_mean"]
    assert distance(first, second, 20, size) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [2, 5, 60])
def test_the_estimate_of_gpus_is_that_of_torch_fidelity(size):
    first, second = normal(size), 0.5 + normal(size, seed=1)
    expected = kernel_mmd(first.numpy(), second.numpy())
    assert unbiased_mmd(first, second) == pytest.approx(expected, rel=1e-9)


def test_one_subset_of_everything_is_the_formula():
    first, second = normal(12), 0.7 * normal(12, seed=1)
    assert distance(first, second, 100, 12) == pytest.approx(literal(first, second), rel=1e-9)


def test_the_same_set_twice_has_its_known_negative_value():
    x = normal(15)
    assert distance(x, x, 5, 15) == pytest.approx(literal(x, x), rel=1e-9)
    assert literal(x, x) < 0


@pytest.mark.parametrize("size", [5, 50])
def test_equal_distributions_score_zero_on_average_whatever_the_size(size):
    found = torch.tensor(
        [distance(normal(size, seed=s), normal(size, seed=1000 + s), 1, size) for s in range(200)]
    )
    assert abs(found.mean()) < 3 * found.std() / 200**0.5


def test_a_shift_is_the_difference_of_kernel_means():
    """With one feature and constant sets the kernel is a cube of one product."""
    first, second = torch.full((4, 1), 1.0), torch.full((5, 1), 2.0)
    assert distance(first, second, 3, 4) == pytest.approx(2**3 + 5**3 - 2 * 3**3)


def test_float32_features_lose_no_digits():
    first, second = (normal(300).float() * 20), (normal(300, seed=1).float() * 20 + 0.01)
    expected = distance(first.double(), second.double(), 10, 100)
    assert distance(first, second, 10, 100) == expected


def test_values_that_overflow_are_an_error():
    huge = torch.full((3, 2), 1e200, dtype=torch.float64)
    with pytest.warns(RuntimeWarning), pytest.raises(BenchError, match="kernel distance of the"):
        distance(huge, normal(3, 2), 1, 3)


def test_the_protocol_tells_the_subsets(real, context, classifier):
    (found,) = KernelDistance(subsets=3).measure(real, context)
    assert found.metric == "kid"
    assert found.protocol.startswith(f"kid[extractor={classifier.name},n=500,real=train:")
    assert found.protocol.endswith(",subsets=3x500]")
    (found,) = KernelDistance(subsets=3, subset_size=70).measure(real, context)
    assert found.protocol.endswith(",subsets=3x70]")


def test_within_the_classes(real, context):
    whole, within = KernelDistance(subsets=4, per_class=True).measure(real, context)
    assert within.metric == "kid/per_class"
    assert within.protocol.endswith(f",subsets=4x{real.per_class}]")
    # Digits whose labels do not match are as near as ever, but not within their classes.
    other = SampleSet(real.x, (real.y + 1) % 10, real.spec)
    crossed = KernelDistance(subsets=4, per_class=True).measure(other, context)
    assert crossed[0].value == pytest.approx(whole.value, abs=0.2 * within.value + 0.1)
    assert crossed[1].value > 10 * abs(within.value)
