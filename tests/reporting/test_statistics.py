import math
import random

import pytest
import scipy.stats

from bench.reporting.statistics import t_interval


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


@pytest.mark.parametrize("n", [3, 5])
def test_95_percent_intervals_cover_the_mean_in_95_percent_of_experiments(n):
    draw = random.Random(0)
    experiments = 4000
    covered = 0
    for _ in range(experiments):
        interval = t_interval([draw.gauss(7.0, 0.5) for _ in range(n)])
        covered += abs(interval.mean - 7.0) <= interval.half_width
    error = math.sqrt(0.95 * 0.05 / experiments)
    assert covered / experiments == pytest.approx(0.95, abs=4 * error)


def test_the_order_of_the_values_does_not_change_a_bit():
    draw = random.Random(1)
    values = [draw.gauss(0.0, 1.0) for _ in range(7)]
    assert t_interval(values) == t_interval(sorted(values)) == t_interval(reversed(values))


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]], ids=str)
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="at least one value, all of them finite"):
        t_interval(values)
