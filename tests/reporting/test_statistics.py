import itertools
import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.reporting.statistics import (
    FEWEST_FOR_CLAIMS,
    LEVEL,
    bootstrap_interval,
    detectable_effect,
    holm,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
    t_interval,
)

NUMBERS = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_is_that_of_scipy(n, confidence):
    draw = random.Random(n)
    values = [draw.gauss(3.0, 2.0) for _ in range(n)]
    interval = t_interval(values, confidence)
    low, high = scipy.stats.t.interval(
        confidence, n - 1, loc=scipy.stats.tmean(values), scale=scipy.stats.sem(values)
    )
    assert interval.mean - interval.half_width == pytest.approx(low, rel=1e-9)
    assert interval.mean + interval.half_width == pytest.approx(high, rel=1e-9)
    assert interval.n == n


def test_two_values_have_the_closed_form_of_the_cauchy_distribution():
    interval = t_interval([1.0, 3.0])
    assert interval.half_width == pytest.approx(math.tan(0.95 * math.pi / 2), rel=1e-9)


def test_the_order_of_the_values_does_not_change_a_bit():
    draw = random.Random(1)
    values = [draw.gauss(0.0, 1.0) for _ in range(7)]
    assert t_interval(values) == t_interval(sorted(values)) == t_interval(reversed(values))


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]], ids=str)
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="at least one value, all of them finite"):
        t_interval(values)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12))
def test_the_paired_difference_is_that_of_scipy(pairs):
    ours, theirs = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in (0, 1))
    found = paired_difference(ours, theirs)
    differences = np.array([a - b for a, b in pairs])
    assert found.interval == t_interval(ours[seed] - theirs[seed] for seed in ours)
    if np.ptp(differences) > 1e-6:
        reference = scipy.stats.ttest_rel(*np.array(pairs).T)
        assert found.p == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-12)


def test_only_common_seeds_count():
    found = paired_difference({0: 1.0, 1: 2.0, 5: 99.0}, {1: 1.0, 0: 1.0, 7: -99.0})
    assert (found.interval.mean, found.interval.n) == (0.5, 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_one_common_seed_has_a_difference_and_no_test():
    found = paired_difference({3: 2.5}, {3: 2.0})
    assert (found.interval.mean, found.interval.half_width, found.p) == (0.5, None, None)


@pytest.mark.parametrize("n", [2, 6, 10])
def test_differences_without_spread_have_the_smallest_p_value_of_the_sign_flip_test(n):
    theirs = {seed: 0.1 * seed for seed in range(n)}
    above = {seed: value + 0.3 for seed, value in theirs.items()}  # equal up to rounding
    assert paired_difference(above, theirs).p == 2.0 ** (1 - n)
    assert paired_difference(theirs, theirs).p == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.2))
def test_holm_rejects_what_the_closed_test_of_bonferroni_tests_rejects(p_values, level):
    """A hypothesis falls if every set that holds it has a p value below level / its size."""
    places = range(len(p_values))
    sets = [s for size in places for s in itertools.combinations(places, size + 1)]
    for place, corrected in zip(places, holm(p_values), strict=True):
        smallest = [min(p_values[i] for i in s) * len(s) for s in sets if place in s]
        assert corrected == pytest.approx(min(1.0, max(smallest)))


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_detectable_effect_is_detected_with_its_power(n, power):
    effect = detectable_effect(n, power=power)
    critical = scipy.stats.t.ppf(1 - LEVEL / 2, n - 1)
    found = scipy.stats.nct.sf(critical, n - 1, effect * math.sqrt(n))
    assert found == pytest.approx(power, abs=1e-6)


def test_one_seed_detects_nothing():
    assert detectable_effect(1) is None


def test_the_fewest_seeds_for_claims_are_those_of_the_sign_flip_test():
    assert 2.0 ** (1 - FEWEST_FOR_CLAIMS) < LEVEL < 2.0 ** (2 - FEWEST_FOR_CLAIMS)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_the_interquartile_mean_is_the_trimmed_mean_of_scipy(values):
    assert interquartile_mean(values) == pytest.approx(
        scipy.stats.trim_mean(values, 0.25), abs=1e-9
    )


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.lists(NUMBERS, min_size=1, max_size=8))
def test_the_probability_of_improvement_is_that_of_mann_and_whitney(ours, theirs):
    found = probability_of_improvement(ours, theirs)
    u = scipy.stats.mannwhitneyu(ours, theirs, method="asymptotic").statistic
    assert found == pytest.approx(u / (len(ours) * len(theirs)))
    assert found + probability_of_improvement(theirs, ours) == pytest.approx(1)


def test_the_bootstrap_interval_holds_its_mean_and_forgets_the_order():
    draw = random.Random(0)
    values = [draw.gauss(3.0, 1.0) for _ in range(8)]
    low, high = bootstrap_interval(values)
    assert low < interquartile_mean(values) < high
    assert bootstrap_interval(values[::-1]) == (low, high)
    assert high - low == pytest.approx(2 * t_interval(values).half_width, rel=0.6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0], None), ([1.0, 2.0], None), ([2.0, 2.0, 2.0], (2.0, 2.0))],
    ids=str,
)
def test_the_bootstrap_interval_of_too_little(values, expected):
    assert bootstrap_interval(values) == expected


def test_one_outlier_among_equals_has_an_interval_or_none():
    found = bootstrap_interval([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.0])
    assert found is None or found[0] <= 1.0 <= found[1]
