import itertools
import math
import random

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.reporting.robust_statistics import (
    bootstrap_interval,
    interquartile_mean,
    probability_of_improvement,
)
from bench.reporting.statistics import (
    FEWEST_FOR_CLAIMS,
    LEVEL,
    POWER,
    detectable_effect,
    estimate,
    fewest_for_signs,
    holm,
    paired_difference,
)

NUMBERS = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_is_that_of_scipy(n, confidence):
    draw = random.Random(n)
    values = [draw.gauss(3.0, 2.0) for _ in range(n)]
    interval = estimate(values)
    half_width = interval.half_width(1 - confidence)
    low, high = scipy.stats.t.interval(
        confidence, n - 1, loc=scipy.stats.tmean(values), scale=scipy.stats.sem(values)
    )
    assert interval.mean - half_width == pytest.approx(low, rel=1e-9)
    assert interval.mean + half_width == pytest.approx(high, rel=1e-9)
    assert interval.n == n


def test_two_values_have_the_closed_form_of_the_cauchy_distribution():
    interval = estimate([1.0, 3.0])
    assert interval.half_width() == pytest.approx(math.tan(0.95 * math.pi / 2), rel=1e-9)


def test_the_order_of_the_values_does_not_change_a_bit():
    draw = random.Random(1)
    values = [draw.gauss(0.0, 1.0) for _ in range(7)]
    assert estimate(values) == estimate(sorted(values)) == estimate(reversed(values))


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]], ids=str)
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="at least one value, all of them finite"):
        estimate(values)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12))
def test_the_paired_difference_is_that_of_scipy(pairs):
    ours, theirs = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in (0, 1))
    found = paired_difference(ours, theirs)
    differences = np.array([a - b for a, b in pairs])
    expected = estimate(ours[seed] - theirs[seed] for seed in ours)
    assert (found.mean, found.n) == (expected.mean, expected.n)
    assert found.half_width() == pytest.approx(expected.half_width(), abs=1e-9)
    if np.ptp(differences) > 1e-6:
        reference = scipy.stats.ttest_rel(*np.array(pairs).T)
        assert found.p == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-12)


def test_only_common_seeds_count():
    found = paired_difference({0: 1.0, 1: 2.0, 5: 99.0}, {1: 1.0, 0: 1.0, 7: -99.0})
    assert (found.mean, found.n) == (0.5, 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_one_common_seed_has_a_difference_and_no_test():
    found = paired_difference({3: 2.5}, {3: 2.0})
    assert (found.mean, found.half_width(), found.spread, found.p) == (0.5, None, None, None)


@pytest.mark.parametrize("n", [2, 6, 10])
def test_differences_without_spread_have_the_smallest_p_value_of_the_sign_flip_test(n):
    theirs = {seed: 0.1 * seed for seed in range(n)}
    above = {seed: value + 0.3 for seed, value in theirs.items()}  # equal up to rounding
    assert paired_difference(above, theirs).p == 2.0 ** (1 - n)
    assert paired_difference(theirs, theirs).p == 1.0


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12), NUMBERS, st.floats(0, 9))
def test_a_nearer_row_needs_a_difference_and_a_middle_beside_the_target(pairs, target, error):
    ours, theirs = (dict(enumerate(side)) for side in zip(*pairs, strict=True))
    found = paired_difference(ours, theirs, target, error)
    a, b = np.array(pairs).T
    distances = [abs(side.mean() - target) for side in (a, b)]
    assert found.mean == pytest.approx(distances[0] - distances[1], abs=1e-9)
    if min(np.ptp(a - b), np.ptp(a + b)) > 1e-6:
        n, sem, off = len(a), scipy.stats.sem(a + b), abs((a + b).mean() - 2 * target)

        def outside(level):
            t, z = scipy.stats.t.isf(level / 2, n - 1), scipy.stats.norm.isf(level / 2)
            return off - math.hypot(t * sem, z * 2 * error)

        middle = scipy.optimize.brentq(outside, 1e-300, 1, xtol=1e-15) if off > 1e-9 else 1.0
        expected = max(scipy.stats.ttest_rel(a, b).pvalue, middle)
        assert found.p == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_rows_on_one_side_of_a_target_that_is_well_known_are_compared_by_their_values():
    draw = np.random.default_rng(0)
    ours, theirs = (dict(enumerate(draw.normal(mean, 0.1, 8))) for mean in (3.0, 2.0))
    near, plain = paired_difference(ours, theirs, 9.0, 0.1), paired_difference(ours, theirs)
    assert near.mean == pytest.approx(-plain.mean)
    assert (near.p, near.half_width(0.01)) == (plain.p, plain.half_width(0.01))


def test_a_target_that_may_lie_on_either_side_of_the_middle_allows_no_claim():
    draw = np.random.default_rng(0)
    ours, theirs = (dict(enumerate(draw.normal(mean, 0.002, 8))) for mean in (0.40, 0.47))
    claims = [paired_difference(ours, theirs, 0.4292, e).p < LEVEL for e in (0.0, 0.0086, 0.001)]
    assert claims == [True, False, True]


PARTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=6, max_size=8)


@given(st.lists(PARTS, min_size=1, max_size=5), st.none() | NUMBERS, st.floats(0, 9))
def test_intervals_leave_out_0_where_the_corrected_p_value_is_below_the_level(rows, target, error):
    found = [
        paired_difference(*(dict(enumerate(side)) for side in zip(*r, strict=True)), target, error)
        for r in rows
    ]
    found = [one for one in found if all(part.variance > 1e-6 for part in one.parts)]
    p_values = [one.p for one in found]
    for one, p, level in zip(found, *holm(p_values), strict=True):
        if abs(p - LEVEL) > 1e-6:
            assert (abs(one.mean) > one.half_width(level)) == (p < LEVEL)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.2))
def test_holm_rejects_what_the_closed_test_of_bonferroni_tests_rejects(p_values, level):
    """A hypothesis falls if every set that holds it has a p value below level / its size."""
    places = range(len(p_values))
    sets = [s for size in places for s in itertools.combinations(places, size + 1)]
    for place, corrected in zip(places, holm(p_values)[0], strict=True):
        smallest = [min(p_values[i] for i in s) * len(s) for s in sets if place in s]
        assert corrected == pytest.approx(min(1.0, max(smallest)))


def test_holm_of_nothing_is_nothing():
    assert holm([]) == ([], [])


@pytest.mark.parametrize("comparisons", [1, 2, 5, 24])
def test_signs_alone_can_claim_from_the_fewest_seeds_on(comparisons):
    """Smallest p value of scipy's exact sign-flip test, of differences that have one sign."""
    fewest = fewest_for_signs(comparisons)
    for seeds, can_claim in ((fewest - 1, False), (fewest, True)):
        exact = scipy.stats.permutation_test(
            (np.arange(1.0, seeds + 1),), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert (holm([exact] + [1.0] * (comparisons - 1))[0][0] < LEVEL) == can_claim
    assert fewest_for_signs(1) == FEWEST_FOR_CLAIMS == 6


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_the_detectable_effect_is_detected_with_its_power(n):
    effect = detectable_effect(n)
    critical = scipy.stats.t.ppf(1 - LEVEL / 2, n - 1)
    found = scipy.stats.nct.sf(critical, n - 1, effect * math.sqrt(n))
    assert found == pytest.approx(POWER, abs=1e-6)


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
    assert high - low == pytest.approx(2 * estimate(values).half_width(), rel=0.6)


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
